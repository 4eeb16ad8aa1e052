"""Logins of official CLIs, as the proxy finds them in its auth-dir."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


def log_in(folder: Path, kind: str, account: str, number: int, files: Mapping[str, bytes], **more: Any) -> None:
    """`number`: its turn, from 0. `files`: what its CLI has in its home."""
    name = f"{kind}-{number:012x}"
    home = folder / "homes" / name
    told = {"type": kind, "home": name, "account": account, "email": f"{account}@example.test", "priority": -number}
    data = {home / path: content for path, content in files.items()}
    data[folder / f"{account}.json"] = msgspec.json.encode({**told, **more})
    for path, content in data.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
    for each in (folder, folder / "homes", home):
        each.chmod(0o700)
