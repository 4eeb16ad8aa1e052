"""Each system call by which tokens and accounts are kept, failed and killed: the file is old or new, whole and ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from auth import oidc_tokens
from auth.oidc_tokens import OidcTokens, put_tokens, read_tokens
from auth.seal import PLAIN
from auth.secret import Secret
from tests.oidc.conftest import SECONDS_MAX
from tests.oidc.persisting import BEGIN, NEW

ROOT = Path(__file__).parents[2]
OLD = OidcTokens(access=Secret("old-access"), refresh=Secret("old-refresh"), expires_at=1.0)
CALLS = (
    "openat", "mkdir", "flock", "write", "pwrite64", "ftruncate", "fsync", "fchmod", "rename", "renameat", "unlink",
    "unlinkat", "close", "newfstatat", "fstat", "read", "getdents64",
)  # fmt: skip
ERRORS = ("EIO", "ENOSPC", "EROFS") if "PROXY_FAULT_ROUNDS" in os.environ else ("EIO",)


@dataclass(frozen=True, slots=True)
class Place:
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def file(self) -> Path:
        return self.folder / "accounts" / "a.json"

    def fill(self) -> None:
        for folder in (self.home, self.file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in folder.iterdir():
                left.unlink()
        put_tokens(self.home, OLD, PLAIN)
        self.file.touch(mode=0o600)
        self.file.write_bytes(b'{"type": "claude-api-key", "label": "old"}')

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["strace", "-qq", "-e", f"trace={','.join(CALLS)},stat,access,faccessat2", *options,
             sys.executable, "-m", "tests.oidc.persisting", str(self.home), str(self.file)],
            cwd=ROOT, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
            capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip

    def judge(self, what: str) -> str:
        """Which of them it is."""
        for path in (self.home / oidc_tokens.TOKENS, self.file):
            assert path.stat().st_mode & 0o777 == 0o600, what
        label = msgspec.json.decode(self.file.read_bytes())["label"]
        assert label in {"old", "new"}, what
        tokens = read_tokens(self.home, PLAIN)
        assert tokens in {OLD, NEW}, what
        return f"{'new' if tokens == NEW else 'old'} {label}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.fill()
    return place


def injections(trace: str) -> Iterator[tuple[str, int]]:
    """Each call behind the mark, and the how-manieth of its name it is."""
    counts: Counter[str] = Counter()
    has_begun = False
    for line in trace.splitlines():
        found = re.match(r"(?:\[pid +\d+\] )?(\w+)\(", line)
        if found is None:
            continue
        counts[found[1]] += 1
        if has_begun and found[1] in CALLS:
            yield found[1], counts[found[1]]
        has_begun |= BEGIN in line


def test_every_call_fails_and_every_call_is_the_last(place: Place) -> None:
    done = place.run()  # with everything compiled
    place.fill()
    done = place.run()
    assert done.returncode == 0, done.stderr[-2000:]
    assert place.judge("nothing was amiss") == "new new"
    calls = [*injections(done.stderr)]
    assert {"openat", "pwrite64", "write", "fsync", "ftruncate", "rename"} <= {name for name, _ in calls} | {
        "rename" for name, _ in calls if name == "renameat"
    }
    seen: Counter[str] = Counter()
    for name, number in calls:
        for fault in (*(f"error={error}" for error in ERRORS), "signal=KILL"):
            place.fill()
            failed = place.run("-e", f"inject={name}:{fault}:when={number}")
            what = f"{name} {number} {fault}: {failed.returncode} {failed.stdout}"
            assert "INJECTED" in failed.stderr or fault == "signal=KILL", what
            found = place.judge(what)
            assert found == "new new" or failed.returncode != 0, f"{what}: in silence"
            seen[found] += 1
            assert "Traceback" not in failed.stderr.partition(BEGIN)[2], what
    assert set(seen) == {"old old", "new old", "new new"}
