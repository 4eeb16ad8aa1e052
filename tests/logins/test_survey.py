"""What the CLIs tell of their accounts while a server runs, without a question to any model."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import msgspec
import pytest

from tests.logins.conftest import House
from tests.logins.person import comes_back
from tests.logins.stage import KEY, SECONDS_MAX, Server
from tests.logins.vendor import ASKED, Vendor


@pytest.mark.parametrize(("kind", "plan"), [("claude-code", "max_20x"), ("codex", "pro")])
async def test_plan_and_windows_are_known_before_anything_is_asked(
    house: House, server: Server, vendor: Vendor, kind: str, plan: str
) -> None:
    await house.login(kind, comes_back()).finish()
    (name,) = house.files
    house.desk.change(name, {"plan": "of-last-year", "organization": "elsewhere"})
    await server.start()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        async with asyncio.timeout(SECONDS_MAX):
            windows: list[dict[str, object]] = []
            while not windows:
                async with session.get(f"{server.url}/health", params={"detail": "1"}) as response:
                    windows = (await response.json())["accounts"][0].get("windows", [])
                await asyncio.sleep(0.1)
    ((window, *others),) = [windows]
    assert (window["name"], window["used"], others) == ("5-hour", 0.12, [])
    assert not any(asked.path in ASKED for asked in vendor.asked)
    async with asyncio.timeout(SECONDS_MAX):
        while house.files[name]["plan"] != plan:  # noqa: ASYNC110 - nobody tells us when a file is written
            await asyncio.sleep(0.05)
    assert house.files[name]["organization"] in {"Harbour Works", "Personal"}
    await server.close()  # it writes down what it knows
    listing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "--config", str(house.folder.parent / "config.yaml"), "accounts", "--json",
        stdout=asyncio.subprocess.PIPE, env={**house.environment, "HOME": str(house.folder.parent)},
    )  # fmt: skip
    out, _ = await listing.communicate()
    (row,) = msgspec.json.decode(out)
    assert (row["plan"], row["email"], row["state"]) == (plan, vendor.person.email, "ready")
    assert [(each["name"], each["used_percent"]) for each in row["windows"]] == [("5-hour", 12.0)]
