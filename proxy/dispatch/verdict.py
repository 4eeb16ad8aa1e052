"""What a failure means: a table a wire over status, the provider's words and its text; the first row that fits holds.

Three questions: whose fault (the client's own stops the rotation and cools nobody), what is left alone (`Scope`), and
for how long (`proxy.dispatch.resets` first, a growing guess else). Sources: security.md §5; recorded error bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auth.standing import UNNAMED
from proxy.config.error_rules import ErrorRule
from proxy.dispatch.amounts import until_month_ends
from proxy.dispatch.decision import Scope, Verdict
from proxy.dispatch.resets import Reset, read_reset
from proxy.hub.events import Failure
from proxy.hub.residue import JsonValue

Meaning = Callable[[Failure, Reset | None, float], Verdict]
"""From the failure, when it ends as far as anybody said, and Unix time."""

GUESS_SECONDS_MAX = 15 * 60.0
RULED_SECONDS = 60.0
"""Where a rule says that somebody rests, and nobody how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Fits when the status is among `status` (empty: any), one of `words` was said (empty: any), and `text` is found in
    the message (None: any). Words are in lower case: the failure's code, type, and the reasons of its details.
    """

    status: frozenset[int] = frozenset()
    words: frozenset[str] = frozenset()
    text: re.Pattern[str] | None = None
    meaning: Meaning

    def fits(self, failure: Failure, words: frozenset[str]) -> bool:
        return (
            (not self.status or failure.status in self.status)
            and (not self.words or not self.words.isdisjoint(words))
            and (self.text is None or self.text.search(failure.message) is not None)
        )


def judge(
    wire: str,
    failure: Failure,
    headers: Mapping[str, str],
    now: float,
    model: str = "",
    rules: Sequence[ErrorRule] = (),
) -> Verdict:
    """`wire`, `headers` and `model`: the upstream's. `now`: Unix seconds. `rules`: the operator's, which come first."""
    words = frozenset(_words(failure))
    reset = read_reset(headers, failure, now, model)
    for rule in rules:
        if rule.status == failure.status and _is_matched(rule, failure):
            return _ruled(rule, reset)
    for row in (*_ROWS.get(wire, ()), *_COMMON):
        if row.fits(failure, words):
            return row.meaning(failure, reset, now)
    return _stop("the request is at fault")(failure, reset, now)


def _is_matched(rule: ErrorRule, failure: Failure) -> bool:
    if not rule.match and not rule.match_regexr:
        return True
    text = "\n".join((failure.message, *_texts(failure.raw, 8)))
    folded = text.lower()
    return any(word.lower() in folded for word in rule.match) or any(
        re.search(each, text) for each in rule.match_regexr
    )


def _texts(value: JsonValue, depth: int) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        yield value
    for each in inner if depth else ():
        yield from _texts(each, depth - 1)


def _ruled(rule: ErrorRule, reset: Reset | None) -> Verdict:
    rests = rule.action.endswith("-and-cooldown")
    return Verdict(
        action="stop" if rule.action.startswith("stop") else "retry",
        scope="model" if rests else "none",
        cooldown_seconds=None if not rests else reset.seconds if reset is not None else RULED_SECONDS,
        is_stated=rests and reset is not None,
        why=f"request-scoped-errors says {rule.action} of {rule.status}",
    )


def _words(failure: Failure) -> Iterator[str]:
    for word in (failure.kind, failure.code, failure.type):
        if word:
            yield word.lower()
    yield from _inner_words(failure.raw, 8)


def _inner_words(value: JsonValue, depth: int) -> Iterator[str]:
    if depth and isinstance(value, dict):
        for key, inner in value.items():
            if key in {"code", "type", "status", "reason", "quotaId", "error_code"} and isinstance(inner, str):
                yield inner.lower()
            else:
                yield from _inner_words(inner, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            yield from _inner_words(inner, depth - 1)


# Meanings


def _stop(why: str) -> Meaning:
    return lambda _failure, _reset, _now: Verdict(action="stop", why=why)


def _elsewhere(why: str) -> Meaning:
    """Another candidate may do better, and this one is no worse than before."""
    return lambda _failure, _reset, _now: Verdict(action="retry", why=why)


def _limited(why: str, guess_seconds: float, scope: Scope = "model", *, is_quota: bool = False) -> Meaning:
    """Waits as long as the provider says, for as much as it says. `is_quota`: it is a window, whichever."""

    def meaning(_failure: Failure, reset: Reset | None, _now: float) -> Verdict:
        if reset is None:
            return Verdict(
                action="retry",
                scope=scope,
                cooldown_seconds=guess_seconds,
                is_quota=is_quota,
                window=UNNAMED if is_quota else "",
                why=why,
            )
        meant = f"the {reset.window} window is exhausted" if reset.window else why
        is_long = is_quota or bool(reset.window) or reset.seconds > GUESS_SECONDS_MAX  # no burst lasts as long
        return Verdict(
            action="retry",
            scope="model" if reset.is_model_only else "credential" if reset.window else scope,
            cooldown_seconds=reset.seconds,
            is_stated=True,
            is_quota=is_long,
            window=reset.slot or (UNNAMED if is_long else ""),
            why=f"{meant} ({reset.source})" if reset.is_cut else meant,
        )

    return meaning


def _fault(why: str, guess_seconds: float = 1.0, scope: Scope = "model") -> Meaning:
    """The provider's or the network's: short, and no account's fault. A stated time counts (503 with Retry-After)."""

    def meaning(_failure: Failure, reset: Reset | None, _now: float) -> Verdict:
        stated = reset is not None and reset.seconds <= GUESS_SECONDS_MAX
        return Verdict(
            action="retry",
            scope=scope,
            cooldown_seconds=reset.seconds if reset is not None and stated else guess_seconds,
            is_stated=stated,
            is_transient=True,
            why=why,
        )

    return meaning


def _refused(why: str, guess_seconds: float, scope: Scope = "credential", *, is_quota: bool = False) -> Meaning:
    """The account's: no time is stated, and it may heal unseen; so it is asked again, ever more rarely."""
    return lambda _failure, _reset, _now: Verdict(
        action="retry",
        scope=scope,
        cooldown_seconds=guess_seconds,
        is_quota=is_quota,
        is_refused=not is_quota,
        why=why,
    )


def _broken(why: str) -> Meaning:
    """Not by time: a human has to act."""
    return lambda _failure, _reset, _now: Verdict(
        action="retry", scope="credential", cooldown_seconds=None, is_refused=True, why=why
    )


def _until_next_month(why: str) -> Meaning:
    return lambda _failure, reset, now: Verdict(
        action="retry",
        scope="credential",
        cooldown_seconds=reset.seconds if reset is not None else until_month_ends(now),
        is_stated=True,
        is_quota=True,
        why=why,
    )


# Rows

_BALANCE = _refused("its balance or spending limit is used up", 5 * 60.0, is_quota=True)
_KEY = _refused("its key or login was refused", 120.0)
_OVERLOAD = _fault("the provider is overloaded", 2.0, "provider")
_WINDOW = _limited("its quota is exhausted", 5 * 60.0, "credential", is_quota=True)
_BURST = _limited("it is rate limited", 1.0)


def _text(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _set(*words: str) -> frozenset[str]:
    return frozenset(words)


_COMMON: tuple[Row, ...] = (
    Row(words=_set("context_length", "context_length_exceeded"), meaning=_stop("the prompt is too long")),
    Row(
        words=_set(
            "cyber_policy",
            "content_policy_violation",
            "content_filter",
            "invalid_prompt",
            "string_above_max_length",
            "message_too_big",
            "previous_response_not_found",
        ),
        meaning=_stop("the request is at fault"),
    ),
    Row(words=_set("empty_answer"), meaning=_elsewhere("it answered nothing")),
    Row(
        status=frozenset({400, 403, 404}),
        text=_text(r"\bno such file|\bfiles? .{0,120}\b(not found|not exist)|\bfile not found|access the file\b"),
        meaning=_elsewhere("it does not have the file"),  # each account has files of its own
    ),
    Row(words=_set("unreachable"), meaning=_fault("it cannot be reached", 1.0, "address")),
    Row(
        words=_set(
            "account_deactivated",
            "account_disabled",
            "organization_disabled",
            "deactivated_workspace",
            "token_revoked",
            "invalid_grant",
        ),
        meaning=_broken("the account is disabled or its login was revoked"),
    ),
    Row(
        status=frozenset({400, 401, 403}),
        text=_text(r"(account|organi[sz]ation|workspace) (has been|was|is) (disabled|deactivated|suspended|banned)"),
        meaning=_broken("the account is disabled or its login was revoked"),
    ),
    Row(
        words=_set(
            "insufficient_quota",
            "credit_balance_exhausted",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "insufficient_g1_credits_balance",
        ),
        meaning=_BALANCE,
    ),
    Row(status=frozenset({402}), meaning=_BALANCE),
    Row(
        status=frozenset({400, 403, 429}),
        text=_text(r"credit balance is too low"),
        meaning=_BALANCE,
    ),
    Row(
        words=_set("api_key_invalid", "invalid_api_key", "authentication", "authentication_error", "unauthenticated"),
        meaning=_KEY,
    ),
    Row(status=frozenset({401}), meaning=_KEY),
    Row(words=_set("usage_limit_reached", "usage_not_included", "quota_exhausted"), meaning=_WINDOW),
    Row(status=frozenset({529}), meaning=_OVERLOAD),
    Row(words=_set("overloaded_error", "server_is_overloaded", "model_capacity_exhausted"), meaning=_OVERLOAD),
    Row(
        status=frozenset({429, 500, 503}),
        text=_text(r"overloaded|exhausted your capacity|capacity exceeded|at capacity"),
        meaning=_OVERLOAD,
    ),
    Row(status=frozenset({429}), words=_set("quota"), meaning=_WINDOW),
    Row(status=frozenset({429}), meaning=_BURST),
    Row(status=frozenset({403}), meaning=_refused("it is not permitted to use this model or region", 120.0, "model")),
    Row(status=frozenset({408, 504, 524}), meaning=_fault("it took too long")),
    Row(words=_set("stream_corrupt"), meaning=_fault("its answer was broken")),
    Row(status=frozenset(range(500, 600)), meaning=_fault("the provider failed")),
)
"""For every wire. What no row fits is the client's own fault: 400, 404, 409, 413, 415, 422 and what nobody foresaw."""

_ROWS: Mapping[str, tuple[Row, ...]] = {
    "anthropic": (
        Row(
            words=_set("enforced_spend_limit_reached"),
            meaning=_until_next_month("its monthly spending limit is reached"),
        ),
        Row(
            status=frozenset({400}),
            text=_text(r"(reached|exceeded) your( specified)?( API)? usage limits?"),
            meaning=_until_next_month("its usage limit is reached"),
        ),
    ),
    "gemini": (
        Row(
            words=_set("validation_required"),
            meaning=_broken("the provider wants its owner to verify the account"),
        ),
        Row(
            status=frozenset({400}),
            text=_text(r"API key (not valid|expired)"),
            meaning=_KEY,
        ),
        Row(
            status=frozenset({400}),
            text=_text(r"User location is not supported"),
            meaning=_refused("the provider does not serve its region", 5 * 60.0),
        ),
    ),
    "openai_responses": (
        Row(
            status=frozenset({403}),
            words=_set("unsupported_country_region_territory"),
            meaning=_refused("the provider does not serve its region", 5 * 60.0),
        ),
    ),
}
