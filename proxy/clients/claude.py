"""Claude Code."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.clients.base import Access, Client, Edit, Launch, Values, home

_FAMILIES = ("claude-*",)
_KINDS = ("opus", "sonnet", "haiku", "fable")
"""What it calls its models by, each for a purpose of its own."""


def _environment(access: Access) -> dict[str, str]:
    """The third lists our models in /model. Without the fourth it also talks to its vendor directly.

    A model that was chosen stands in for every kind that is not offered. One that Claude Code does not know is told its
    window: it would be taken for a model of a million tokens, and the conversation never be compacted in time.
    """
    told = {
        "ANTHROPIC_BASE_URL": access.url,
        "ANTHROPIC_AUTH_TOKEN": access.key.reveal(),
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    model = access.model
    if model is None:
        return told
    told["ANTHROPIC_MODEL"] = model.id
    offered = [offer.id for offer in access.offers if offer.id.startswith("claude-")]
    missing = [kind for kind in _KINDS if not any(kind in each for each in offered)]
    told |= {f"ANTHROPIC_DEFAULT_{kind.upper()}_MODEL": model.id for kind in missing}
    if not model.id.startswith("claude-") and model.context_tokens is not None:
        told["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(model.context_tokens)
    return told


def _launch(access: Access) -> Launch:
    return Launch(
        environment=_environment(access),
        removed=(
            "ANTHROPIC_API_KEY",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_FOUNDRY",
            "CLAUDE_CODE_USE_VERTEX",
        ),
    )


def _edits(access: Access, environment: Mapping[str, str]) -> tuple[Edit, ...]:
    path = home(environment, "CLAUDE_CONFIG_DIR", ".claude") / "settings.json"
    values: Values = {("env", name): value for name, value in _environment(access).items()}
    return (Edit(path=path, format="json", values=values),)


CLIENT = Client(
    name="claude",
    title="Claude Code",
    program="claude",
    package="@anthropic-ai/claude-code",
    families=_FAMILIES,
    launch=_launch,
    edits=_edits,
    probe=("-p", "Say the word ready.", "--tools", ""),
    notes=(
        "A brand-new Claude Code heeds the file from its second start on.",
        "ANTHROPIC_API_KEY, where your shell sets it, goes along with every request: unset it.",
    ),
)
