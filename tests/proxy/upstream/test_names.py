from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.upstream import names as module
from proxy.upstream.names import NAMES_MAX, Names


class Resolver:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.is_down = False

        async def ask(_names: Names, host: str, port: int) -> list[tuple[object, ...]]:
            self.asked.append(host)
            await asyncio.sleep(0.01)
            if self.is_down:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

        monkeypatch.setattr(Names, "_ask", ask)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


async def test_whoever_comes_together_asks_once(resolver: Resolver) -> None:
    names = Names()
    found = await asyncio.gather(*(names.find("a.test", 443) for _ in range(50)))
    assert found == [found[0]] * 50
    await names.find("a.test", 443)
    await names.find("b.test", 443)
    assert resolver.asked == ["a.test", "b.test"]
    await names.close()


async def test_it_is_asked_again_after_a_while(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    names = Names()
    for _ in range(2):
        await names.find("a.test", 443)
    assert len(resolver.asked) == 2
    await names.close()


async def test_a_failure_is_not_remembered(resolver: Resolver) -> None:
    names = Names()
    resolver.is_down = True
    with pytest.raises(socket.gaierror):
        await names.find("a.test", 443)
    resolver.is_down = False
    assert await names.find("a.test", 443)
    names.forget("a.test", 443)
    assert await names.find("a.test", 443)
    assert len(resolver.asked) == 3
    await names.close()


async def test_who_is_cancelled_takes_nothing_from_the_others(resolver: Resolver) -> None:
    names = Names()
    first, second = (asyncio.create_task(names.find("a.test", 443)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert resolver.asked == ["a.test"]
    await names.close()


@pytest.mark.usefixtures("resolver")
async def test_few_are_remembered() -> None:
    names = Names()
    for number in range(3):
        await asyncio.gather(*(names.find(f"{number}.{each}", 1) for each in range(NAMES_MAX // 2)))
    assert len(names._known) <= NAMES_MAX
    await names.close()


async def test_the_system_is_asked() -> None:
    names = Names()
    assert any(info[4][0] == "127.0.0.1" for info in await names.find("127.0.0.1", 80))
    await names.close()
