from __future__ import annotations

from dataclasses import replace

import pytest
from multidict import CIMultiDict

from proxy.dispatch.habits import without_habits
from proxy.hub.loss import Loss
from proxy.hub.parts import Opaque
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Tool, ToolChoice

CODEX = CIMultiDict({"User-Agent": "codex_exec/0.169.0 (Debian)", "originator": "codex_exec"})
SHELL = Tool(name="shell")
SEARCH = Opaque(wire="openai_responses", kind="web_search", value={"type": "web_search"})
OTHER = Opaque(wire="openai_responses", kind="code_interpreter", value={"type": "code_interpreter"})
ASKED = Request(model="m", tools=(SHELL, SEARCH, OTHER))
PLAIN = Profile(maker="harbour")


def test_a_model_that_cannot_search_does_without_codexs_search() -> None:
    request, losses = without_habits(ASKED, CODEX, PLAIN)
    assert request == replace(ASKED, tools=(SHELL, OTHER))
    assert losses == (Loss("tools[1]", "web_search", "the chosen model cannot search the web"),)


@pytest.mark.parametrize(
    ("request_", "client", "profile"),
    [
        (ASKED, CODEX, Profile(maker="harbour", hosted_tools=frozenset({"web_search"}))),
        (ASKED, CIMultiDict({"User-Agent": "boat/1"}), PLAIN),
        (replace(ASKED, tool_choice=ToolChoice(mode="named", names=("web_search",))), CODEX, PLAIN),
        (replace(ASKED, tools=(SHELL, OTHER)), CODEX, PLAIN),
    ],
    ids=["it can", "it is somebody's own wish", "it has to be used", "nothing of that kind"],
)
def test_otherwise_nothing_is_touched(request_: Request, client: CIMultiDict[str], profile: Profile) -> None:
    assert without_habits(request_, client, profile) == (request_, ())
