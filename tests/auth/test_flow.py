from __future__ import annotations

import random

import pytest

from auth.flow import ANSWER_CHARACTERS_MAX, Aborted, Answer, Deliver, Done, Enter, Ignored, LoginFlow, ShowCode, Visit
from auth.identity import Identity
from auth.secret import Secret

STATE = "a-state-that-nobody-could-guess-0123456789"
ADA = Identity(account="uuid-1", email="Ada@Example.test", plan="max")


def waiting(issuer: str = "") -> LoginFlow:
    step = Visit("https://page.example/authorize", "Paste it")
    return LoginFlow(whose="Claude Code").offered(step, state=Secret(STATE), issuer=issuer)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        (f"the-code#{STATE}", ""),
        (f"  the-code#{STATE}\r\n", ""),
        (f"http://localhost:4711/callback?code=the-code&state={STATE}", "http://localhost:4711/callback"),
        (f"http://127.0.0.1/x?state={STATE}&scope=a+b&code=the-code#fragment", "http://127.0.0.1/x"),
        (f"?code=the-code&state={STATE}", ""),
        (f"state={STATE}&code=the-code", ""),
    ],
)
def test_every_way_of_pasting(text: str, page: str) -> None:
    flow, what = waiting().pasted(text)
    assert what == Deliver("the-code", STATE, page)
    assert flow.is_spent


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("the-code", "The state is missing"),
        ("the-code#", "The state is missing"),
        ("http://localhost/callback?code=the-code", "The state is missing"),
        ("http://[broken", "The state is missing"),
        ("the-code#another", "That belongs to another login"),
        (f"the-code#{STATE}x", "That belongs to another login"),
        (f"the-code#{STATE.upper()}", "That belongs to another login"),
        (f"?code=x&state={STATE}&state={STATE}", "That belongs to another login"),
        (f"?code=x&code=y&state={STATE}", "The code is missing"),
        (f"?state={STATE}&code=", "The code is missing"),
        ("x" * ANSWER_CHARACTERS_MAX + f"#{STATE}", "The state is missing"),
        ("\ud800#\udfff", "That belongs to another login"),
    ],
)
def test_T25_a_wrong_paste_changes_nothing_and_is_told(text: str, complaint: str) -> None:
    before = waiting()
    flow, what = before.pasted(text)
    assert isinstance(what, Ignored)
    assert what.why.startswith(complaint)
    assert flow.step == Enter("Paste it", what.why)
    assert (flow.state, flow.is_spent) == (before.state, False)
    assert isinstance(flow.pasted(f"the-code#{STATE}")[1], Deliver)


def test_T25_ten_thousand_forged_callbacks_and_then_the_real_one() -> None:
    flow, chance = waiting(), random.Random(25)  # noqa: S311 - the same forgeries each time
    for _ in range(10_000):
        guess = "".join(chance.choices(STATE + "\x00é", k=chance.randrange(60)))
        query = chance.choice(["code=x&state={}", "error=access_denied&state={}", "state={}", "code={}", ""])
        after, what = flow.answered(Answer.of_query(query.format(guess)))
        assert isinstance(what, Ignored)
        assert after is flow
    assert flow.answered(Answer.of_query(f"code=real&state={STATE}"))[1] == Deliver("real", STATE)


def test_T25_an_answer_counts_once() -> None:
    flow, _ = waiting().answered(Answer(("code",), (STATE,)))
    assert flow.answered(Answer(("code",), (STATE,)))[1] == Ignored("That was used already")


def test_T25_the_issuer_must_be_the_expected_one_if_it_is_named() -> None:
    flow = waiting("https://issuer.example")
    assert isinstance(flow.answered(Answer(("c",), (STATE,), ("https://evil.example",)))[1], Ignored)
    assert isinstance(flow.answered(Answer(("c",), (STATE,), ("https://issuer.example",)))[1], Deliver)
    assert isinstance(flow.answered(Answer(("c",), (STATE,)))[1], Deliver)


def test_nothing_is_answered_before_anything_was_asked() -> None:
    flow = LoginFlow(whose="Codex")
    assert isinstance(flow.answered(Answer(("c",), ("",)))[1], Ignored)
    assert isinstance(flow.offered(ShowCode("https://x.example", "AB-CD")).answered(Answer(("c",), ("",)))[1], Ignored)


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        ("access_denied", "declined", "consent was declined"),
        ("server_error", "failed", "ended the login with server_error"),
        ("<script>alert(1)</script>", "failed", "ended the login with an error"),
    ],
)
def test_the_page_ends_it(error: str, reason: str, words: str) -> None:
    flow, what = waiting().answered(Answer(states=(STATE,), errors=(error,)))
    assert what is None
    assert isinstance(flow.step, Aborted)
    assert flow.step.reason == reason
    assert words in flow.step.why


def test_the_end_is_the_end() -> None:
    done = waiting().finished(ADA)
    assert done.step == Done(ADA)
    assert done.cancelled().timed_out(10).failed("failed", "x").finished(ADA).step is done.step
    cancelled = waiting().cancelled()
    assert cancelled.finished(ADA).step is cancelled.step
    assert isinstance(cancelled.pasted(f"c#{STATE}")[1], Ignored)


@pytest.mark.parametrize("expected", ["ada@example.test", "ADA@EXAMPLE.TEST", "uuid-1"])
def test_the_expected_account(expected: str) -> None:
    assert LoginFlow(whose="x", expected=expected).finished(ADA).step == Done(ADA)


@pytest.mark.parametrize("expected", ["bea@example.test", "UUID-1", "x"])
def test_another_account_is_refused(expected: str) -> None:
    step = LoginFlow(whose="x", expected=expected).finished(ADA).step
    assert isinstance(step, Aborted)
    assert step.reason == "wrong_account"


def test_T19_no_code_and_no_state_is_printed() -> None:
    flow, what = waiting().pasted(f"the-code#{STATE}")
    assert "the-code" not in repr((flow, what, Answer.of_paste(f"the-code#{STATE}")))
    assert STATE not in repr((flow, what))
