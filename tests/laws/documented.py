"""The tables of docs/wires.md that tell what is lost, made by asking for each thing in turn.

``.venv/bin/python -m tests.laws.documented`` writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from proxy.errors import Kind
from proxy.hub.effort import BUDGETS
from proxy.hub.events import Failure
from proxy.hub.loss import Loss
from proxy.hub.parts import Text
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.request import Reasoning
from proxy.hub.response import FinishReason
from proxy.providers.profiles import profile_of
from proxy.wire.base import Wire
from proxy.wire.table import WIRES, wire_named
from tests.laws.across import asked, reply
from tests.laws.probes import ANSWERS, CALL, PROBES, Outcome, Probe, answer_losses, outcomes, told

DOCUMENT = Path(__file__).parents[2] / "docs" / "wires.md"
NAMES = {
    "anthropic": "Messages",
    "openai_chat": "Chat",
    "openai_responses": "Responses",
    "gemini": "Gemini",
}
MODELS = (
    ("anthropic", "anthropic", "claude-haiku-4-5"),
    ("anthropic", "anthropic", "claude-opus-4-6"),
    ("anthropic", "anthropic", "claude-sonnet-5"),
    ("openai_responses", "openai", "gpt-4o"),
    ("openai_responses", "openai", "gpt-5"),
    ("openai_responses", "openai", "gpt-5.6-sol"),
    ("openai_chat", "openai_compatible", "deepseek-chat"),
    ("gemini", "gemini", "gemini-2.5-pro"),
    ("gemini", "gemini", "gemini-2.5-flash"),
    ("gemini", "gemini", "gemini-3-pro-preview"),
    ("gemini", "gemini", "gemini-3.5-flash"),
)
_BLOCK = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> Mapping[str, str]:
    return {
        **{f"to-{wire.name.replace('_', '-')}": _upstream(wire) for wire in WIRES},
        "models": _models(),
        "efforts": _efforts(),
        "answers": _answers(),
        "stops": _stops(),
        "errors": _errors(),
    }


def renewed(text: str) -> str:
    """The document with its tables as they are now."""
    made = tables()
    return _BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}{found[3]}", text)


def _table(*rows: Sequence[str]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _upstream(upstream: Wire) -> str:
    whole: list[str] = []
    rows: list[Sequence[str]] = [("asked", "by", "what becomes of it")]
    for name, probe in PROBES.items():
        found = _grouped(outcomes(probe, upstream))
        if found.keys() == {""}:
            whole.append(name)
        rows.extend((name, ", ".join(clients), what) for what, clients in found.items() if what)
    return f"Nothing is lost of: {', '.join(whole)}.\n\n{_table(*rows)}"


def _grouped(found: Iterator[Outcome]) -> dict[str, list[str]]:
    """Clients by what they are told; "" where nothing is lost."""
    clients: dict[str, list[str]] = {}
    for each in found:
        words = _said(each.losses).replace(f"only {each.client.name} ", "only its maker ")
        words = "**refused**" if each.refusal else words
        clients.setdefault(words, []).append(NAMES[each.client.name])
    return clients


def _said(losses: Iterable[Loss]) -> str:
    return "; ".join(
        f"`{loss.path}`: {loss.why}" if loss.what == loss.path else f"`{loss.path}` {loss.what}: {loss.why}"
        for loss in losses
    )


def _models() -> str:
    rows: list[Sequence[str]] = [("model", "asked", "what becomes of it")]
    for wire, family, model in MODELS:
        upstream, profile = wire_named(wire), profile_of(family, model)
        label = f"`{model}`"
        for name, probe in PROBES.items():
            if name.startswith(("effort", "hosted")):
                continue
            for words in _more(probe, upstream, profile):
                rows.append((label, name, words))
                label = ""
    return _table(*rows)


def _more(probe: Probe, upstream: Wire, profile: Profile) -> list[str]:
    """What any client is told of this model that it is not told of the wire."""
    able = {loss for each in outcomes(probe, upstream) for loss in each.losses}
    more = (
        each._replace(losses=tuple(loss for loss in each.losses if loss not in able))
        for each in outcomes(probe, upstream, profile)
        if not each.refusal
    )
    return [words for words in _grouped(more) if words]


def _efforts() -> str:
    head = ["asked", "tokens", *(f"`{model}`" for _, _, model in MODELS)]
    rows = [head]
    for effort in ALL_EFFORTS:
        tokens = "0" if effort == "none" else str(BUDGETS.get(effort, "its most"))
        cells = [_effort(Reasoning(effort=effort), wire, profile_of(family, model)) for wire, family, model in MODELS]
        rows.append([effort, tokens, *cells])
    return _table(*rows)


def _effort(reasoning: Reasoning, wire: str, profile: Profile) -> str:
    upstream = wire_named(wire)
    rendered = upstream.render_request(asked(reasoning=reasoning), profile)
    seen = upstream.parse_request(rendered.body, model="m").reasoning
    if seen is None:
        return "–"
    word = seen.effort or ("on" if seen.budget_tokens is None else str(seen.budget_tokens))
    return f"{word}*" if rendered.losses else word


def _answers() -> str:
    rows = [["told", *(NAMES[wire.name] for wire in WIRES)]]
    for name, response in ANSWERS.items():
        cells = [_said(answer_losses(response, wire)) or "=" for wire in WIRES]
        rows.append([name, *cells])
    return _table(*rows)


def _stops() -> str:
    rows = [["the answer ended", *(NAMES[wire.name] for wire in WIRES)]]
    for reason in get_args(FinishReason):
        ended = told(*((CALL,) if reason == "tool_calls" else (Text(text="So."),)), reason=reason)
        rows.append([f"`{reason}`", *(_word(wire.render_response(ended, reply()).body) for wire in WIRES)])
    return _table(*rows)


def _word(body: Any) -> str:
    if "stop_reason" in body:
        return f"`{body['stop_reason']}`"
    if "status" in body:
        why = body["incomplete_details"]
        return f"`{body['status']}`" + (f", `{why['reason']}`" if why else "")
    choice, key = (body["choices"], "finish_reason") if "choices" in body else (body["candidates"], "finishReason")
    return f"`{choice[0][key]}`"


def _errors() -> str:
    rows = [["kind", "Messages: type", "Chat, Responses: type, code", "Gemini: status, reasons"]]
    for kind in get_args(Kind):
        is_waited_for = kind in {"rate_limit", "quota"}
        failure = Failure(kind=kind, status=429, message="", retry_after_seconds=1 if is_waited_for else None)
        messages: Any = WIRES[0].render_error(failure)
        chat: Any = WIRES[1].render_error(failure)
        gemini: Any = wire_named("gemini").render_error(failure)
        reasons = [detail["reason"] for detail in gemini["error"].get("details", []) if "reason" in detail]
        rows.append(
            [
                f"`{kind}`",
                f"`{messages['error']['type']}`",
                ", ".join(f"`{word}`" for word in (chat["error"]["type"], chat["error"]["code"]) if word),
                ", ".join(f"`{word}`" for word in (gemini["error"]["status"], *reasons)),
            ]
        )
    return _table(*rows)


def main() -> None:
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(renewed(text))


if __name__ == "__main__":
    main()
