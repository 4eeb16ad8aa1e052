from __future__ import annotations

from pathlib import Path

import pytest

from auth.flow import Deliver, Visit
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting
from auth.logins.table import CODEX_CLI, GEMINI_CLI, LOGIN_KINDS, LoginKind
from auth.secret import Secret
from proxy.accounts.desk import Desk
from proxy.accounts.login_terminal import SERVES, Place, Terminal
from proxy.accounts.logins import LoginWish
from proxy.config.schema import Config

PAGE = "https://vendor.test/authorize?state=x"


class Declined:
    """A login whose person looks at the page and declines."""

    door = None
    is_door_needed = False

    def __init__(self, _setting: Setting) -> None:
        pass

    async def open(self) -> Offer:
        return Offer(step=Visit(PAGE, "Paste the address"), state=Secret("x" * 20))

    async def deliver(self, answer: Deliver) -> None:
        raise AssertionError(answer)

    async def completed(self) -> None:
        raise LoginFailed("declined", "consent was declined")

    async def identity(self) -> Identity:
        raise AssertionError

    async def close(self) -> None:
        pass


def told(folder: Path, kind: LoginKind, place: Place) -> tuple[int, str]:
    own = LoginKind(
        name=kind.name, cli=kind.cli, driver=Declined, notice=kind.notice, port=kind.port, has_device=kind.has_device,
        needs_cli=False,
    )  # fmt: skip
    lines: list[str] = []
    terminal = Terminal(desk=Desk(folder, Config()), environment={}, place=place, tell=lines.append, stdin=0)
    with Path("/dev/null").open("rb") as nobody:
        terminal.stdin = nobody.fileno()
        code = terminal.log_in(LoginWish(kind=own, has_browser=place.has_browser))
    return code, "\n".join(lines)


@pytest.mark.parametrize("kind", [CODEX_CLI, GEMINI_CLI])
@pytest.mark.parametrize("place", ["desktop", "ssh", "container"])
def test_each_place_has_its_hints(tmp_path: Path, kind: LoginKind, place: str) -> None:
    where = Place(is_remote=place == "ssh", is_container=place == "container", has_desktop=True)
    code, words = told(tmp_path, kind, where)
    assert code == 3
    assert PAGE in words
    assert "proxy: consent was declined." in words
    assert (f"ssh -L {kind.port}:127.0.0.1:{kind.port} HOST" in words) == (place == "ssh")
    assert ("In a container the way back does not work" in words) == (place == "container")
    assert ("--device is simpler" in words) == (kind.has_device and place != "desktop")


def test_a_place_is_known_by_its_environment() -> None:
    assert Place.of({"DISPLAY": ":0"}, "linux").has_desktop
    assert not Place.of({}, "linux").has_desktop
    assert Place.of({}, "darwin").has_desktop
    assert not Place.of({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/0"}, "linux").has_browser


@pytest.mark.parametrize("kind", ["kimi-code", "grok", "copilot"])
def test_who_serves_nobody_says_so_before_the_login_and_after_it(tmp_path: Path, kind: str) -> None:
    assert "no client is served with it" in LOGIN_KINDS[kind].notice
    assert "no client is served with it" in SERVES[kind]
    _, words = told(tmp_path, LOGIN_KINDS[kind], Place(is_remote=False, is_container=False, has_desktop=True))
    assert words.count("no client is served with it") == 1
