"""What is kept of a key that proved right: it holds most guesses back, and never the key."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from management.sieve import BITS, Sieve, SieveFile

STORED = "$2b$12$" + "a" * 53


@pytest.mark.parametrize("key", ["k", "", "schlüssel-密钥", "lone\ud800surrogate", "k" * 4096])
def test_the_right_key_always_passes(key: str) -> None:
    for _ in range(50):
        sieve = Sieve.of(key, STORED)
        assert sieve.lets_pass(key)
        assert sieve.is_of(STORED)
        assert not sieve.is_of(STORED.replace("a", "b"))


def test_of_a_thousand_others_few_pass() -> None:
    sieve = Sieve.of("the right one", STORED)
    passed = sum(sieve.lets_pass(f"guess {number}") for number in range(20 * 2**BITS))
    assert 0 < passed < 60, "twenty are to be expected"


def test_no_more_than_ten_bits_of_the_key_are_kept(tmp_path: Path) -> None:
    file = SieveFile(tmp_path, pytest.fail)
    file.keep(Sieve.of("the right one", STORED))
    kept = msgspec.json.decode(file.path.read_bytes())
    assert set(kept) == {"salt", "bits", "mark"}
    assert 0 <= kept["bits"] < 2**BITS
    salted = {Sieve.of("the right one", STORED).bits for _ in range(20)}
    assert len(salted) > 10, "of each salt others"


def test_it_is_kept_for_the_next_process_and_for_nobody_else(tmp_path: Path) -> None:
    file = SieveFile(tmp_path / "accounts", pytest.fail)
    assert file.read() is None
    sieve = Sieve.of("key", STORED)
    file.keep(sieve)
    assert file.read() == sieve
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"\xff", b'{"salt": "AA==", "bits": 3', b'{"salt": 1, "bits": 1, "mark": "AA=="}', b"9" * 9000]
)
def test_a_damaged_file_keeps_nobody_out(tmp_path: Path, raw: bytes) -> None:
    told: list[str] = []
    file = SieveFile(tmp_path, told.append)
    file.keep(Sieve.of("key", STORED))
    file.path.write_bytes(raw)
    assert [file.read() for _ in range(9)] == [None] * 9
    assert told == [f"{file.path} is ignored: it is damaged"], "once: while many guess it is looked at all the time"


def test_a_bit_that_has_turned_makes_it_nobodys() -> None:
    sieve = Sieve.of("key", STORED)
    assert not msgspec.structs.replace(sieve, bits=sieve.bits ^ 1).is_of(STORED)


def test_a_disk_that_fails_is_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "state").write_text("a file where a folder should be")
    SieveFile(tmp_path, told.append).keep(Sieve.of("key", STORED))
    assert told
    assert "cannot be written" in told[0]
    assert SieveFile(tmp_path, told.append).read() is None
    assert "is ignored" in told[1]
