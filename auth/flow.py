"""A login as a state machine with few results, which terminal, management API and panel drive alike.

::

    Waiting ──offered──▶ Visit or ShowCode ──answered──▶ Waiting ──finished──▶ Done
                          │  ▲                             │
               wrong paste▼  │pasted                       ├─failed, declined, timed out, cancelled──▶ Aborted
                         Enter

Pure: every transition gives a new flow. Done and Aborted are the end; nothing that comes later changes them.

An answer (a callback, or what somebody pasted) counts only with the state that the official CLI put into the URL,
compared in constant time, and only once: the CLI itself does not look at the state of a pasted code. Any other answer
changes nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias
from urllib.parse import parse_qs

from auth.identity import Identity
from auth.secret import Secret

ANSWER_CHARACTERS_MAX = 16_384

Reason: TypeAlias = Literal[
    "cancelled", "declined", "timed_out", "wrong_account", "wrong_code", "port_taken", "cli_missing", "failed"
]


@dataclass(frozen=True, slots=True)
class Visit:
    """`prompt`: what may be pasted meanwhile; empty: nothing. `elsewhere`: the page for a browser on another machine,
    where it is not the same.
    """

    url: str
    prompt: str = ""
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Enter:
    """What was pasted is not it, and why; another one may be."""

    prompt: str
    complaint: str


@dataclass(frozen=True, slots=True)
class ShowCode:
    """The person types `code` on the page at `url`."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class Waiting:
    for_what: str


@dataclass(frozen=True, slots=True)
class Done:
    account: Identity


@dataclass(frozen=True, slots=True)
class Aborted:
    """`why`: one sentence, without its stop."""

    reason: Reason
    why: str


Step: TypeAlias = Visit | Enter | ShowCode | Waiting | Done | Aborted


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What comes back from the provider's page. Each member as often as it came: once, if it is genuine."""

    codes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    page: str = ""
    """The address it was pasted with, up to the query."""

    def __repr__(self) -> str:
        return "Answer(•••)"

    @classmethod
    def of_query(cls, query: str) -> Answer:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=32)
        codes, states, issuers, errors = (tuple(found.get(name, ())) for name in ("code", "state", "iss", "error"))
        return cls(codes, states, issuers, errors)

    @classmethod
    def of_paste(cls, text: str) -> Answer:
        """``CODE#STATE``, the address that a browser could not open, or the query of it."""
        text = text.strip()
        try:
            if "://" in text:
                page, _, query = text.partition("?")
                return replace(cls.of_query(query.partition("#")[0]), page=page)
            if "code=" in text or "error=" in text:
                return cls.of_query(text.lstrip("?"))
        except ValueError:
            return cls()
        code, _, state = text.partition("#")
        return cls((code,), (state,) if state else ())


@dataclass(frozen=True, slots=True, repr=False)
class Deliver:
    """For the CLI, now. `page`: as in `Answer`."""

    code: str
    state: str
    page: str = ""

    def __repr__(self) -> str:
        return "Deliver(•••)"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing has changed; `why` is a sentence without its stop."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFlow:
    whose: str
    """``Claude Code``."""
    step: Step = Waiting("the official CLI to start")
    state: Secret | None = None
    """That the answer must carry; None: no answer is expected."""
    issuer: str = ""
    """That the answer must come from, if it says from whom (RFC 9207)."""
    must_name_issuer: bool = False
    """It has said that its answers say so."""
    expected: str = ""
    """The account that it must be: e-mail address or id. Empty: any."""
    is_spent: bool = False

    @property
    def is_over(self) -> bool:
        return isinstance(self.step, Done | Aborted)

    def offered(
        self, step: Visit | ShowCode, *, state: Secret | None = None, issuer: str = "", must_name_issuer: bool = False
    ) -> LoginFlow:
        return replace(self._to(step, state=state, issuer=issuer), must_name_issuer=must_name_issuer)

    def answered(self, answer: Answer) -> tuple[LoginFlow, Deliver | Ignored | None]:
        """None: the answer ends the login."""
        if self.is_over or self.state is None:
            return self, Ignored("No login is waiting for this")
        if not answer.states:
            return self, Ignored(
                "The state is missing: paste the whole code, with # and what follows it, or the address"
            )
        if len(answer.states) > 1 or not _is_same(answer.states[0], self.state.reveal()):
            return self, Ignored("That belongs to another login: only the answer from the page of this login counts")
        if self.is_spent:
            return self, Ignored("That was used already")
        if self.issuer and any(issuer != self.issuer for issuer in answer.issuers):
            return self, Ignored(f"That does not come from {self.issuer}")
        if self.must_name_issuer and not answer.issuers:
            return self, Ignored(f"It does not say that it comes from {self.issuer}: paste the whole address")
        if answer.errors:
            return self._declined(answer.errors[0]), None
        if len(answer.codes) != 1 or not answer.codes[0]:
            return self, Ignored("The code is missing")
        waiting = self._to(Waiting(f"{self.whose} to finish the login"), is_spent=True)
        return waiting, Deliver(answer.codes[0], answer.states[0], answer.page)

    def pasted(self, text: str) -> tuple[LoginFlow, Deliver | Ignored | None]:
        flow, what = self.answered(Answer.of_paste(text[:ANSWER_CHARACTERS_MAX]))
        if isinstance(what, Ignored) and isinstance(flow.step, Visit | Enter):
            return replace(flow, step=Enter(flow.step.prompt, what.why)), what
        return flow, what

    def finished(self, account: Identity) -> LoginFlow:
        if self.expected and not account.is_meant_by(self.expected):
            why = f"this is {account.email or account.account}, not {self.expected}; nothing was changed"
            return self.failed("wrong_account", why)
        return self._to(Done(account))

    def failed(self, reason: Reason, why: str) -> LoginFlow:
        return self._to(Aborted(reason, why))

    def timed_out(self, minutes: int) -> LoginFlow:
        return self.failed("timed_out", f"nobody has finished the login within {minutes} minutes; start it again")

    def cancelled(self) -> LoginFlow:
        return self.failed("cancelled", "cancelled; nothing was changed")

    def _declined(self, error: str) -> LoginFlow:
        if error == "access_denied":
            return self.failed("declined", f"consent was declined on the page of {self.whose}; nothing was changed")
        shown = error if error.isascii() and error.replace("_", "").isalnum() and len(error) < 60 else "an error"
        return self.failed("failed", f"the page of {self.whose} ended the login with {shown}; nothing was changed")

    def _to(
        self, step: Step, *, state: Secret | None = None, issuer: str | None = None, is_spent: bool | None = None
    ) -> LoginFlow:
        if self.is_over:
            return self
        return replace(
            self,
            step=step,
            state=self.state if state is None else state,
            issuer=self.issuer if issuer is None else issuer,
            is_spent=self.is_spent if is_spent is None else is_spent,
        )


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass"))
