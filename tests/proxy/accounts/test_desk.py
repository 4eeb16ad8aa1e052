from __future__ import annotations

from pathlib import Path

import pytest

from auth.homes import Homes
from auth.oidc_tokens import OidcTokens, put_tokens
from auth.refusal import Refused
from auth.seal import PLAIN
from auth.secret import Secret
from proxy.accounts.desk import Desk
from proxy.config.load import parse
from proxy.config.settings import JsonValue
from tests.auth.issuer import Grant, Issuer

CONFIG = "gemini-api-key: [gemini-key-of-the-config]\nopenai-compatibility:\n  - {name: local, base-url: 'http://127.0.0.1:1/v1'}\n"


def desk_at(folder: Path, text: str = CONFIG) -> Desk:
    return Desk(folder / "accounts", parse(text.encode()).config)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_at(tmp_path)


def claude(key: str = "key-1", **more: JsonValue) -> dict[str, JsonValue]:
    return {"type": "claude-api-key", "api-key": key, **more}


def drop(desk: Desk, name: str, text: str) -> None:
    desk.folder.mkdir(mode=0o700, exist_ok=True)
    (desk.folder / name).touch(mode=0o600)
    (desk.folder / name).write_text(text)


def test_it_lists_the_config_s_and_the_files_each_with_its_state(tmp_path: Path, desk: Desk) -> None:
    added = desk.add(claude(label="work", note="mine"))
    desk.add(claude("key-2", disabled=True))
    drop(desk, "x-broken.json", '{"type": "claude-api-key"')
    drop(desk, "y-login.json", '{"type": "codex"}')
    drop(desk, "z-double.json", '{"type": "gemini-api-key", "api-key": "gemini-key-of-the-config"}')
    rows = desk_at(tmp_path).rows()
    assert [(row.label, row.provider, row.state, row.file) for row in rows[:2]] == [
        ("gemini key 1", "gemini", "ready", None),
        ("local", "local", "ready", None),
    ]
    states = {row.file: (row.state, row.why) for row in rows[2:]}
    assert states[added.file] == ("ready", None)
    assert sorted(state for state, _ in states.values()) == [
        "disabled", "quarantined", "quarantined", "ready", "unused",
    ]  # fmt: skip
    assert "is no JSON" in str(states["x-broken.json"][1])
    assert "one holder" in str(states["y-login.json"][1])
    assert states["z-double.json"][1] == "is the same account as in config.yaml, which counts"
    assert next(row.note for row in rows if row.file == added.file) == "mine"


def test_an_account_that_is_there_is_renewed_and_not_doubled(desk: Desk) -> None:
    first = desk.add(claude(note="keep this"))
    again = desk.add(claude(label="work"))
    assert (first.is_new, again.is_new, again.file) == (True, False, first.file)
    assert [(row.label, row.note) for row in desk.rows() if row.file] == [("work", "keep this")]


def test_what_the_config_holds_is_not_added(desk: Desk) -> None:
    with pytest.raises(Refused, match="stands in the config file already"):
        desk.add({"type": "gemini-api-key", "api-key": "gemini-key-of-the-config"})
    with pytest.raises(Refused, match="the account priority must be"):
        desk.add(claude(priority="x"))


@pytest.mark.parametrize("way", ["file", "stem", "id", "label"])
def test_an_account_is_found_by_any_of_its_names(desk: Desk, way: str) -> None:
    added = desk.add(claude(label="work"), name="mine.json")
    row = next(row for row in desk.rows() if row.file == added.file)
    names = {"file": "mine.json", "stem": "mine", "id": row.id, "label": "work"}
    assert desk.change(names[way], {"disabled": True}) == "mine.json"
    assert next(row.state for row in desk.rows() if row.file == added.file) == "disabled"
    desk.change(names[way], {"disabled": None})
    assert b"disabled" not in (desk.folder / "mine.json").read_bytes()
    assert desk.remove(names[way]) == ("mine.json", "")
    assert [row for row in desk.rows() if row.file] == []


def test_names_that_are_none(desk: Desk) -> None:
    desk.add(claude("key-1", label="work"))
    desk.add(claude("key-2", label="work"))
    with pytest.raises(Refused, match="no account is called 'nobody'"):
        desk.file_of("nobody")
    with pytest.raises(Refused, match="'work' is more than one account: claude-api-key-"):
        desk.remove("work")
    with pytest.raises(Refused, match="'local' stands in the config file; change it there"):
        desk.change("local", {"disabled": True})


def test_a_name_that_is_taken_by_another_account_is_not_taken_away(desk: Desk) -> None:
    desk.add(claude("key-1"), name="mine.json")
    assert desk.add(claude("key-2"), name="mine.json").file.startswith("claude-api-key-")
    assert len([row for row in desk.rows() if row.file]) == 2


def test_whom_a_test_asks(desk: Desk) -> None:
    desk.add(claude("key-1", label="work"))
    desk.add(claude("key-2", label="rest", disabled=True))
    desk.add({"type": "openai-compatibility", "name": "new", "base-url": "http://127.0.0.1:1/v1"})
    assert [(provider.name, each.label) for provider, each in desk.subjects(["work"])] == [("anthropic", "work")]
    assert [provider.name for provider, _ in desk.subjects([])] == ["gemini", "local", "anthropic", "new"]
    assert [each.label for _, each in desk.subjects(["rest"])] == ["rest"]
    with pytest.raises(Refused, match="no account that is in use is called 'nobody'"):
        list(desk.subjects(["nobody"]))


def test_what_was_mended_and_what_looks_wrong_is_told(tmp_path: Path, desk: Desk) -> None:
    drop(desk, "a.json", '{"type": "claude-api-key", "api-key": "k", "prioritty": 1}')
    (desk.folder / "a.json").chmod(0o644)
    assert list(desk_at(tmp_path).remarks()) == [
        "a.json was open to other users (mode 0644); now it is 0600",
        "a.json has 'prioritty', which is not known; did you mean priority?",
    ]


async def test_a_login_whose_token_has_expired_gets_another_one_for_a_test(tmp_path: Path) -> None:
    home = Homes(tmp_path / "accounts").make("oidc")
    async with Issuer() as issuer:
        issuer.grants.append(Grant(subject="ada", refresh="first"))
        desk = desk_at(tmp_path, "")
        put_tokens(home, OidcTokens(access=Secret("old"), refresh=Secret("first"), expires_at=1.0), PLAIN)
        desk.add(
            {
                "type": "oidc", "home": home.name, "account": "ada", "issuer": issuer.name, "client-id": "client",
                "provider": "gemini",
            }
        )  # fmt: skip
        ((_, credential),) = desk.subjects([])
        assert credential.secret == Secret("old")
        fresh = await desk.with_token(credential)
        assert fresh.secret not in {credential.secret, None}
        assert await desk.with_token(credential) == fresh, "one exchange is enough"
        assert issuer.counts["refresh_token"] == 1
        issuer.grants[0].is_over = True
        put_tokens(home, OidcTokens(access=Secret("old"), refresh=Secret("first"), expires_at=1.0), PLAIN)
        with pytest.raises(Refused, match="has ended the login"):
            await desk.with_token(credential)


def test_a_login_has_a_home_and_a_key_has_none(desk: Desk) -> None:
    added = desk.add({"type": "codex", "home": "codex-0123456789ab", "account": "ada"})
    assert desk.home_of(added.file) == "codex-0123456789ab"
    assert desk.home_of(desk.add(claude()).file) == ""
