"""A request on its way to an official CLI: rendered for what that can say, and cut to it."""

from __future__ import annotations

from dataclasses import replace

from proxy.dispatch.decision import Candidate
from proxy.errors import Untranslatable
from proxy.hub.names import NameMap
from proxy.providers.base import Operation
from proxy.wire.base import RenderedRequest


def through_cli(candidate: Candidate, operation: Operation) -> Candidate:
    """The candidate as its CLI can serve it, whoever asks. An envelope is between that CLI and its provider. Raises
    `Untranslatable`.
    """
    provider = candidate.provider
    if operation != "generate":
        raise Untranslatable(
            f"{candidate.credential.label} is asked through {provider.own_cli}, which can be asked for answers only; "
            "an API key that is asked directly serves this, too"
        )
    asked = replace(provider, profile=provider.cli_profile or provider.profile, is_enveloped=False, official=())
    return replace(candidate, provider=asked)


def cut(rendered: RenderedRequest, candidate: Candidate) -> RenderedRequest:
    """Without what the CLI has no room for. Raises `Untranslatable`."""
    limits = candidate.provider.cli_limits
    if limits is None:
        return rendered
    limited = limits(rendered.body)
    names = _together(rendered.names, limited.names)
    return RenderedRequest(rendered.body, (*rendered.losses, *limited.losses), names)


def _together(first: NameMap, second: NameMap) -> NameMap:
    """What `first` renamed, `second` may have renamed again."""
    sent = {**second.sent, **{ours: second.to_upstream(theirs) for ours, theirs in first.sent.items()}}
    return NameMap(sent, {theirs: ours for ours, theirs in sent.items()})
