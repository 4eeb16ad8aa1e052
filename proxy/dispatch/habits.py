"""What a coding CLI offers with every request, whether anybody wants it or not: Codex a search of the web.

A model that has none does without it, and a loss says so. Everybody else who offers such a tool wants it, and is
refused by name (docs/wires.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.dispatch.genuine import is_genuine
from proxy.hub.hosted import intent_of
from proxy.hub.loss import Loss
from proxy.hub.parts import Opaque
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.providers import openai
from proxy.wire.base import RenderedRequest

SEARCH = "web_search"


def without_habits(request: Request, client: Mapping[str, str], profile: Profile) -> tuple[Request, tuple[Loss, ...]]:
    """`client`: its headers. `profile`: of the model that is to be asked. A tool that has to be used stays."""
    if SEARCH in profile.hosted_tools or not is_genuine(openai.PROVIDER, client):
        return request, ()
    if request.tool_choice is not None and request.tool_choice.mode == "named":
        return request, ()
    left = [
        index for index, tool in enumerate(request.tools) if isinstance(tool, Opaque) and intent_of(tool.kind) == SEARCH
    ]
    kept = tuple(tool for index, tool in enumerate(request.tools) if index not in left)
    losses = tuple(Loss(f"tools[{index}]", SEARCH, "the chosen model cannot search the web") for index in left)
    return replace(request, tools=kept), losses


def with_losses(rendered: RenderedRequest, losses: tuple[Loss, ...]) -> RenderedRequest:
    return rendered if not losses else replace(rendered, losses=(*losses, *rendered.losses))
