from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from auth.homes import Homes
from proxy.accounts.desk import Desk
from proxy.config.schema import Config


class Quay:
    """One login, and files that lead to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o700)
        self.home = Homes(folder).make("codex")
        (self.home / "auth.json").write_text("{}")
        self.enrol("mine", account="ada")

    def enrol(self, name: str, **more: str) -> None:
        file = {"type": "codex", "home": self.home.name, **more}
        (self.folder / f"{name}.json").write_bytes(msgspec.json.encode(file))
        (self.folder / f"{name}.json").chmod(0o600)

    @property
    def desk(self) -> Desk:
        return Desk(self.folder, Config())


@pytest.fixture
def quay(tmp_path: Path) -> Quay:
    return Quay(tmp_path)


def test_its_login_goes_with_it(quay: Quay) -> None:
    told = quay.desk.remove("mine")
    assert told == ("mine.json", "its login is deleted here, and was not revoked at the provider")
    assert not quay.home.exists()


def test_its_login_stays_for_who_asks_for_that(quay: Quay) -> None:
    assert quay.desk.remove("mine", keeps_home=True) == ("mine.json", f"its login stays in {quay.home}")
    assert (quay.home / "auth.json").exists()


@pytest.mark.parametrize("other", [{"account": "bea"}, {"account": "bea", "disabled": "no boolean"}])
def test_a_login_that_another_file_leads_to_stays(quay: Quay, other: dict[str, str]) -> None:
    quay.enrol("other", **other)
    assert quay.desk.remove("mine.json") == ("mine.json", f"its login stays in {quay.home}")
    assert (quay.home / "auth.json").exists()


def test_a_home_that_leads_elsewhere_is_left_alone(quay: Quay, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "kept").touch()
    for path in quay.home.iterdir():
        path.unlink()
    quay.home.rmdir()
    quay.home.symlink_to(there)
    _, told = quay.desk.remove("mine")
    assert told.startswith("its login stays: ")
    assert (there / "kept").exists()
