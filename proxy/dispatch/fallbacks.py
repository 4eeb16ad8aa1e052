"""Which models go on when nobody can serve the one that was asked for: its previews, then ``routing.fallbacks``.

Both are asked for by the operator, happen before the first content only, and are told in ``x-proxy-fallback``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proxy.dispatch.catalogue import Catalogue, Found
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import UnknownModel


def fallbacks(snapshot: Snapshot, inquiry: Inquiry, found: Found | None, *, is_spent: bool) -> Iterator[Found]:
    """In order. `found`: what was asked for; None: nobody offers it. `is_spent`: for want of quota nobody serves it.

    How much to think goes along, where a fallback's own name does not say it.
    """
    if inquiry.operation != "generate" or inquiry.own_key is not None:
        return
    config, catalogue = snapshot.config, snapshot.catalogue.within(inquiry.reach)
    names: tuple[str, ...] = ()
    if found is not None and is_spent and config.quota_exceeded.switch_preview_model:
        names = previews(catalogue, found.name)
    chains = config.routing.fallbacks
    names += chains.get(inquiry.model) or chains.get(found.name if found is not None else "", ())
    for name in dict.fromkeys(names):
        try:
            other = catalogue.find(name, inquiry.operation, inquiry.wire)
        except UnknownModel:
            continue  # its accounts are disabled, or it is a slip of the pen
        if found is None or other.name != found.name:
            reasoning = other.reasoning or (found.reasoning if found is not None else None)
            yield replace(other, reasoning=reasoning)


def previews(catalogue: Catalogue, name: str) -> tuple[str, ...]:
    """``gemini-3-pro`` → ``gemini-3-pro-preview``, ``gemini-3-pro-preview-11-2025``: the plain one, then the newest."""
    stem = f"{name}-preview"
    offered = [model.id for model in catalogue.models()]
    dated = sorted((each for each in offered if each.startswith(f"{stem}-")), reverse=True)
    return (*((stem,) if stem in offered else ()), *dated)
