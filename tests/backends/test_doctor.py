"""What `proxy doctor` says of the real CLIs, with accounts that need them."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from tests.backends.stage import Stage


async def test_a_cli_that_serves_is_found_good(stage: Stage) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "--config", str(stage.folder / "config.yaml"), "doctor", "--json",
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.pathsep.join([str(stage.modules / ".bin"), "/usr/bin", "/bin"]), "HOME": str(stage.folder)},
    )  # fmt: skip
    told, _ = await process.communicate()
    findings = msgspec.json.decode(told)["findings"]
    accounts = [each for each in findings if each["check"] == "account"]
    assert [each["state"] for each in accounts] == ["good", "good"]
    name = stage.kind.partition("-")[0]
    (cli,) = [each for each in findings if each["check"] == "cli" and f"/.bin/{name}" in each["says"]]
    assert cli["state"] == "good", cli
    assert cli["says"].endswith("asks for all clients")
