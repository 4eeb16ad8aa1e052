"""Logins at a certified provider, through its own pages, to an account whose token it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from auth.flow import Aborted, Done, ShowCode, Step, Visit
from auth.identity import Identity
from auth.refusal import LoginNeeded
from proxy.accounts.desk import Desk
from proxy.accounts.logins import LoginRun
from proxy.accounts.logout import log_out
from proxy.accounts.oidc_login import spec_of, wish_for
from proxy.config.schema import Config
from tests.oidc.conftest import CONFIDENTIAL, Provider, sign_in
from tests.oidc.homes import kept, refreshed

ADA = Identity(account="ada", email="ada@example.com")


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.json")]


def homes(folder: Path) -> list[str]:
    return [path.name for path in (folder / "homes").iterdir()]


async def log_in(
    provider: Provider,
    folder: Path,
    act: Callable[[LoginRun, Visit | ShowCode], Awaitable[object]],
    name: str,
    minutes: float | None = None,
    **wish: Any,
) -> Step:
    fields: dict[str, Any] = {
        "issuer": provider.issuer, "client-id": name, "provider": "gate", "base-url": "http://127.0.0.1:1/v1"
    }  # fmt: skip
    if name == "confidential":
        fields["client-secret"] = CONFIDENTIAL
    desk = Desk(folder, Config())
    acting: list[asyncio.Task[object]] = []

    def see(step: Step) -> None:
        if isinstance(step, Visit | ShowCode):
            acting.append(asyncio.ensure_future(act(run, step)))

    wanted = replace(wish_for(desk, spec_of(fields), **wish), minutes=minutes)
    run = LoginRun(desk=desk, wish=wanted, ours={}, on_step=see)
    step = await run.run()
    await asyncio.gather(*acting)
    return step


async def comes_back(_run: LoginRun, step: Visit | ShowCode) -> None:
    back = await sign_in(step.url)
    async with aiohttp.ClientSession() as session, session.get(back) as answer:
        assert answer.status == 200


async def pastes(run: LoginRun, step: Visit | ShowCode) -> None:
    back = await sign_in(step.url)
    assert run.login is not None
    assert not await run.login.paste(back.replace("state=", "state=x"))
    assert await run.login.paste(back)


async def types_the_code(_run: LoginRun, step: Visit | ShowCode) -> None:
    assert isinstance(step, ShowCode)
    await sign_in(step.url, user_code=step.code)


async def declines(_run: LoginRun, step: Visit | ShowCode) -> None:
    back = await sign_in(step.url, is_declined=True)
    async with aiohttp.ClientSession() as session, session.get(back) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("name", ["public", "confidential"])
@pytest.mark.parametrize(
    ("act", "wish"),
    [(comes_back, {}), (pastes, {"has_browser": False}), (types_the_code, {"is_device": True})],
    ids=["by callback", "by paste", "by device code"],
)
async def test_in_refreshed_and_out(
    provider: Provider, tmp_path: Path, name: str, act: Any, wish: dict[str, Any]
) -> None:
    assert await log_in(provider, tmp_path, act, name, **wish) == Done(ADA)
    (name_of_file,) = files(tmp_path)
    home = msgspec.json.decode((tmp_path / name_of_file).read_bytes())["home"]
    login = kept(tmp_path, provider.client(name), home)
    first = login.read(tmp_path)
    assert await refreshed(login, tmp_path) == "refreshed"
    assert login.read(tmp_path).access != first.access
    assert await log_out(Desk(tmp_path, Config()), name_of_file, {}) == "logged out, and revoked at the provider"
    with pytest.raises(LoginNeeded):
        login.read(tmp_path)
    assert files(tmp_path) == []


async def test_two_at_once_do_not_disturb_each_other(provider: Provider, tmp_path: Path) -> None:
    """Each with its own port, state and verifier; answers that are exchanged count in neither."""
    pages: dict[str, str] = {}
    both = asyncio.Barrier(2)

    def comes_back_to_the_other_first(name: str, other: str) -> Any:
        async def act(run: LoginRun, step: Visit | ShowCode) -> None:
            pages[name] = await sign_in(step.url)
            await both.wait()
            assert run.login is not None
            assert not await run.login.paste(pages[other])
            await both.wait()
            assert await run.login.paste(pages[name])

        return act

    steps = await asyncio.gather(
        log_in(provider, tmp_path, comes_back_to_the_other_first("public", "confidential"), "public"),
        log_in(provider, tmp_path, comes_back_to_the_other_first("confidential", "public"), "confidential"),
    )
    assert steps == [Done(ADA), Done(ADA)]
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("is_device", [False, True])
async def test_nobody_comes(provider: Provider, tmp_path: Path, is_device: bool) -> None:
    async def waits(_run: LoginRun, _step: Visit | ShowCode) -> None:
        pass

    step = await log_in(provider, tmp_path, waits, "public", minutes=0.02, is_device=is_device)
    assert isinstance(step, Aborted)
    assert step.reason == "timed_out"
    assert (files(tmp_path), homes(tmp_path)) == ([], [])


async def test_declined(provider: Provider, tmp_path: Path) -> None:
    step = await log_in(provider, tmp_path, declines, "public")
    assert isinstance(step, Aborted)
    assert step.reason == "declined"
    assert files(tmp_path) == []
    assert homes(tmp_path) == []


async def test_a_login_that_was_revoked_elsewhere_has_to_be_made_again(provider: Provider, tmp_path: Path) -> None:
    assert await log_in(provider, tmp_path, comes_back, "public") == Done(ADA)
    (home,) = (tmp_path / "homes").iterdir()
    login = kept(tmp_path, provider.client(), home.name)
    stolen = (home / "tokens.json").read_bytes()
    assert await refreshed(login, tmp_path) == "refreshed"
    (home / "tokens.json").write_bytes(stolen)  # whoever has restored a backup
    assert await refreshed(login, tmp_path) == "login_needed"
    assert (await provider.set())["revoked"] == 1
