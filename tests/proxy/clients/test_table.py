"""The plans of all clients: what they are told, and where."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from auth.secret import Secret
from proxy.clients.base import KEYLESS, Access, Client, Offer
from proxy.clients.documents import changed, parse
from proxy.clients.table import CLIENTS, client_named

URL = "http://127.0.0.1:9"
KEY = "a-key-of-a-client"
OPUS = Offer(id="claude-opus-5", context_tokens=200_000, output_tokens=64_000)
OTHER = Offer(id="harbour", context_tokens=32_000)
OFFERS = (OPUS, OTHER)


def access(model: Offer | None = None, key: str = KEY) -> Access:
    return Access(url=URL, key=Secret(key), offers=OFFERS, model=model)


def settings(client: Client, given: Access) -> list[tuple[str, dict[str, object]]]:
    """What the files hold when there were none."""
    edits = client.edits(given, {"HOME": "/home/me"})
    return [(str(each.path), parse(each.format, changed(each.format, "", each.values))) for each in edits]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda each: each.name)
class TestEveryClient:
    def test_a_key_stands_in_no_argument(self, client: Client) -> None:
        """Everybody on the machine can read those."""
        assert KEY not in " ".join(client.launch(access(OTHER)).arguments)

    def test_it_is_told_the_server_the_key_and_the_model(self, client: Client) -> None:
        launch = client.launch(access(OTHER))
        told = " ".join([*launch.environment.values(), *launch.arguments])
        assert URL in told
        assert KEY in told
        assert OTHER.id in told
        assert not set(launch.removed) & launch.environment.keys()

    def test_without_a_model_it_chooses_itself(self, client: Client) -> None:
        launch = client.launch(access())
        told = " ".join([*launch.environment.values(), *launch.arguments])
        assert OTHER.id not in told or client.name == "opencode"  # which is told all that there are

    def test_its_files_are_below_the_users_home(self, client: Client) -> None:
        assert all(str(each.path).startswith("/home/me/.") for each in client.edits(access(), {"HOME": "/home/me"}))

    def test_a_setup_says_the_same(self, client: Client) -> None:
        told = str(settings(client, access(OTHER)))
        assert URL in told
        assert KEY in told
        assert OTHER.id in told


def test_who_is_known() -> None:
    assert [each.name for each in CLIENTS] == ["claude", "codex", "gemini", "qwen", "opencode"]
    with pytest.raises(KeyError):
        client_named("emacs")


@pytest.mark.parametrize(
    ("name", "offers", "wanted", "chosen"),
    [
        ("claude", OFFERS, None, None),
        ("claude", OFFERS, "harbour", OTHER),
        ("claude", OFFERS, "harbour(high)", Offer(id="harbour(high)")),
        ("codex", OFFERS, None, OPUS),
        ("codex", (Offer(id="gpt-5.5"), OTHER), None, None),
        ("qwen", OFFERS, None, OPUS),
        ("gemini", (OTHER,), None, OTHER),
    ],
)
def test_the_model(name: str, offers: tuple[Offer, ...], wanted: str | None, chosen: Offer | None) -> None:
    assert client_named(name).choose(offers, wanted) == chosen


def test_claude_code_is_told_the_window_of_a_model_that_it_does_not_know() -> None:
    told = client_named("claude").launch(access(OTHER)).environment
    assert told["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "32000"
    assert {told[f"ANTHROPIC_DEFAULT_{kind}_MODEL"] for kind in ("SONNET", "HAIKU", "FABLE")} == {"harbour"}
    assert "ANTHROPIC_DEFAULT_OPUS_MODEL" not in told
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS" not in client_named("claude").launch(access(OPUS)).environment


def test_claude_code_talks_to_nobody_else() -> None:
    launch = client_named("claude").launch(access())
    assert launch.environment["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert "ANTHROPIC_API_KEY" in launch.removed


def test_google_is_never_told_the_key() -> None:
    """Gemini CLI shows its Google token to googleapis.com; a header goes to this server alone."""
    launch = client_named("gemini").launch(access())
    assert launch.environment["GOOGLE_CLOUD_ACCESS_TOKEN"] == KEYLESS
    assert launch.environment["GEMINI_CLI_CUSTOM_HEADERS"] == f"x-goog-api-key: {KEY}"
    assert len(launch.notes) == 1
    assert client_named("gemini").launch(access(key=KEYLESS)).notes == ()


def test_codex_reads_its_arguments_as_toml() -> None:
    arguments = client_named("codex").launch(access(OTHER)).arguments
    assert arguments[::2] == ("-c",) * 4
    assert arguments[1::2] == (
        'model_provider="proxy"',
        f'model_providers.proxy={{name="proxy",base_url="{URL}/v1",wire_api="responses",env_key="PROXY_KEY"}}',
        'model="harbour"',
        "model_context_window=32000",
    )


def test_opencode_speaks_to_each_model_in_its_vendors_format() -> None:
    told = msgspec.json.decode(client_named("opencode").launch(access(OTHER)).environment["OPENCODE_CONFIG_CONTENT"])
    models = told["provider"]["proxy"]["models"]
    assert models["claude-opus-5"] == {
        "name": "claude-opus-5",
        "limit": {"context": 200_000, "output": 64_000},
        "provider": {"npm": "@ai-sdk/anthropic"},
    }
    assert models["harbour"] == {"name": "harbour"}
    assert told["model"] == told["small_model"] == "proxy/harbour"
    assert told["provider"]["proxy"]["options"]["apiKey"] == "{env:PROXY_KEY}"


def test_variables_say_where_files_are() -> None:
    given = {"HOME": "/home/me", "CODEX_HOME": "/c", "CLAUDE_CONFIG_DIR": "/l", "GEMINI_CLI_HOME": "/g"}
    found = [[each.path for each in client_named(n).edits(access(), given)] for n in ("codex", "claude", "gemini")]
    assert found == [
        [Path("/c/config.toml")],
        [Path("/l/settings.json")],
        [Path("/g/.gemini/settings.json"), Path("/g/.gemini/.env")],
    ]
