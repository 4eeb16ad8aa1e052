"""What Codex is asked for whom, with a program that stands in for it; the real one is in tests/backends."""

from __future__ import annotations

import msgspec
import pytest

from proxy.errors import Broken
from proxy.upstream.base import Call
from tests.proxy.upstream.codex_stage import (
    Stage,
    assistant,
    user,
)


async def test_a_conversation_is_resumed_by_its_name(stage: Stage) -> None:
    await stage.say(user("One."), session="abc")
    await stage.say(user("Two."), session="abc")
    assert stage.backend.asked[1] == ("thread-1", [user("One."), assistant("Ahoy."), user("Two.")])
    await stage.say(user("Three."), session="def")
    assert stage.backend.asked[2][1] == [user("Three.")]


async def test_what_stands_in_its_folder(stage: Stage) -> None:
    await stage.say(user("Who is there?"))
    (home,) = (stage.folder / "state").rglob("home")
    assert msgspec.json.decode((home / "auth.json").read_bytes())["tokens"]["refresh_token"] == ""
    assert (home / "installation_id").read_text() == "the-same-installation"
    assert {(home / name).stat().st_mode & 0o777 for name in ("auth.json", "config.toml", "models.json")} == {0o600}
    assert [*(home.parent / "empty").iterdir()] == []


async def test_who_has_no_codex_is_told_how_to_get_it(stage: Stage) -> None:
    (stage.folder / "bin" / "codex").unlink()
    with pytest.raises(Broken, match="proxy cli install codex"):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_an_account_without_its_login_serves_nobody(stage: Stage) -> None:
    (stage.folder / "home" / "auth.json").write_bytes(b"{}")
    with pytest.raises(Broken, match="holds no tokens"):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_what_is_no_request_is_told_so(stage: Stage) -> None:
    call = stage.call()
    answer = await stage.codex.send(Call(method="POST", url=call.url, body=b"[]", account=call.account))
    assert answer.status == 400
    with pytest.raises(Broken, match="no login"):
        await stage.codex.send(Call(method="POST", url=call.url, body=call.body))
