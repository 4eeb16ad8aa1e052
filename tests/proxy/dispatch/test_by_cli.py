from __future__ import annotations

import pytest

from auth.credential import Credential
from auth.secret import Secret
from proxy.dispatch.by_cli import cut, through_cli
from proxy.dispatch.decision import Candidate
from proxy.errors import Untranslatable
from proxy.hub.names import NameMap
from proxy.hub.residue import JsonValue
from proxy.providers import claude_code, codex, openai
from proxy.providers.base import Provider
from proxy.wire.base import RenderedRequest

LOGIN = Credential(id="codex-1", provider="codex", label="harbour", secret=Secret("at"))


def candidate(provider: Provider = codex.PROVIDER) -> Candidate:
    return Candidate(provider=provider, credential=LOGIN, model="gpt-5.5")


def test_a_cli_has_a_profile_of_its_own() -> None:
    seen = through_cli(candidate(), "generate").provider.profile("gpt-5.5")
    assert not seen.has_custom_tools
    assert codex.PROVIDER.profile("gpt-5.5").has_custom_tools


def test_what_is_no_question_for_an_answer_is_refused() -> None:
    with pytest.raises(Untranslatable, match="harbour is asked through Codex"):
        through_cli(candidate(), "compact")


def test_who_needs_no_cutting_is_left_alone() -> None:
    rendered = RenderedRequest({"model": "gpt-5.5", "temperature": 1})
    assert cut(rendered, candidate(openai.PROVIDER)) is rendered
    assert claude_code.PROVIDER.cli_executor in {"", "claude-code"}


def test_a_name_that_was_changed_twice_comes_back_as_the_client_s() -> None:
    """The wire's own change makes the name legal, the CLI's makes it free."""
    first = NameMap({"mcp__harbour tides": "mcp__harbour_tides"}, {"mcp__harbour_tides": "mcp__harbour tides"})
    tools: list[JsonValue] = [
        {"type": "function", "name": name} for name in ("mcp__harbour_tides", "exec_command", "weather")
    ]
    rendered = cut(RenderedRequest({"input": "x", "tools": tools, "temperature": 1}, (), first), candidate())
    assert [loss.path for loss in rendered.losses] == ["temperature"]
    names = [tool["name"] for tool in rendered.body["tools"]]  # type: ignore[index, call-overload, union-attr]
    assert [rendered.names.to_client(str(name)) for name in names] == [
        "mcp__harbour tides",
        "exec_command",
        "weather",
    ]
