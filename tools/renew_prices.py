"""Writes ``proxy/observe/prices.json`` anew, from the list that the package genai-prices maintains. `make prices`

The package itself would take a second and 50 MB in every server; what is needed of it is this table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from genai_prices import __version__
from genai_prices.data import providers

OUT = Path(__file__).parents[1] / "proxy" / "observe" / "prices.json"
SERVED = (
    "anthropic", "openai", "google", "deepseek", "groq", "mistral", "x-ai", "moonshotai", "cerebras", "together",
    "fireworks", "openrouter", "zhipuai", "zai", "minimax", "perplexity",
)  # fmt: skip
"""Whom a key or an OpenAI-compatible entry can be of."""
BUCKETS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache-read": "cache_read_mtok",
    "cache-write": "cache_write_mtok",
}


def rules(clause: Any) -> Iterator[str]:
    """As patterns: ``=`` is the whole name, ``^`` its beginning, ``$`` its end, ``*`` any part, ``~`` an expression."""
    kinds = {"equals": "=", "starts_with": "^", "ends_with": "$", "contains": "*", "regex": "~"}
    if hasattr(clause, "or_"):
        for each in clause.or_:
            yield from rules(each)
        return
    if hasattr(clause, "and_"):
        yield "~^" + "".join(f"(?={ahead(each)})" for each in clause.and_)
        return
    for name, mark in kinds.items():
        if hasattr(clause, name):
            yield mark + getattr(clause, name)


def ahead(clause: Any) -> str:
    """As an expression from the beginning of the name on."""
    if hasattr(clause, "starts_with"):
        return re.escape(clause.starts_with)
    assert clause.regex.startswith("^"), clause
    return str(clause.regex.removeprefix("^"))


def price(prices: Any) -> dict[str, Any] | None:
    """None: not by the token alone."""
    found: dict[str, Any] = {}
    for ours, theirs in BUCKETS.items():
        value = getattr(prices, theirs)
        if isinstance(value, Decimal):
            found[ours] = float(value)
        elif value is not None:
            found[ours] = float(value.base)
            for tier in value.tiers:
                found.setdefault("tiers", {}).setdefault(str(tier.start), {})[ours] = float(tier.price)
    return found if "input" in found and "output" in found else None


def changing(prices: Any, now: datetime) -> dict[str, Any] | None:
    """With what another day, or another hour of each day, makes of it; of several the last that holds counts."""
    if not isinstance(prices, list):
        return price(prices)
    changes: list[dict[str, Any]] = []
    base = prices[0]
    for each in reversed(prices):
        condition = each.constraint
        if condition is None or (hasattr(condition, "start_date") and condition.active(now)):
            base = each  # what stands before it holds no more
            break
        when = (
            {"since": condition.start_date.isoformat()}
            if hasattr(condition, "start_date")
            else {"minutes": [minutes(condition.start_time), minutes(condition.end_time)]}
        )
        changed = price(each.prices)
        if changed is not None:
            changes.insert(0, {"price": changed, **when})
    found = price(base.prices)
    return found and ({**found, "changes": changes} if changes else found)


def minutes(time: Any) -> int:
    """Of the day, in UTC."""
    return int(time.hour * 60 + time.minute)


def table() -> dict[str, list[Any]]:
    now = datetime.now(UTC)
    told: dict[str, list[Any]] = {}
    for provider in sorted((each for each in providers if each.id in SERVED), key=lambda each: SERVED.index(each.id)):
        models = [(sorted(rules(model.match)), changing(model.prices, now)) for model in provider.models]
        told[provider.id] = [[patterns, cost] for patterns, cost in models if patterns and cost is not None]
    return told


def main() -> None:
    body = {"source": f"genai-prices {__version__}", "at": datetime.now(UTC).date().isoformat(), "providers": table()}
    lines = msgspec.json.format(msgspec.json.encode(body), indent=0).decode()
    OUT.write_text(lines.replace("]],", "]],\n") + "\n")
    print(f"{OUT.name}: {sum(map(len, body['providers'].values()))} models, {OUT.stat().st_size} bytes")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
