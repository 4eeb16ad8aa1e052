from __future__ import annotations

import stat
from pathlib import Path

import pytest

from auth.secret import Secret
from proxy.clients.base import KEYLESS, Access, Client, Edit, Format, Keys, Offer
from proxy.clients.documents import changed, parse, value_at
from proxy.clients.journal import Journal, Touched
from proxy.clients.setup import MASK, Change, apply, difference, planned, put_back, undone
from proxy.clients.table import CLIENTS
from proxy.errors import ConfigError

KEY = Secret("a-key-of-a-client")
VALUES: dict[Keys, object] = {("env", "KEY"): KEY.reveal(), ("env", "URL"): "http://h"}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journals", "claude")


def edit(path: Path, values: dict[Keys, object] | None = None, kind: Format = "json") -> Edit:
    return Edit(path=path, format=kind, values=values or VALUES)  # type: ignore[arg-type]  # JSON values


def undo(journal: Journal) -> None:
    for each in journal.read().values():
        put_back(undone(each))
    journal.remove()


def test_the_difference_is_shown_without_the_key(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{\n  "theme": "dark"\n}\n')
    told = difference(planned(edit(path)), [KEY])
    assert KEY.reveal() not in told
    assert f'+    "KEY": "{MASK}",' in told.splitlines()
    assert difference(Change(path=path, before=b"x", after=b"x"), [KEY]) == ""


def test_an_existing_file_becomes_its_owners_alone_and_gets_a_backup(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dark"}')
    path.chmod(0o640)
    (backup,) = apply([edit(path)], journal, "now", KEY)
    assert backup.name == "settings.json.before-proxy-now"
    assert backup.read_text() == '{"theme": "dark"}'
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(backup.stat().st_mode)) == (0o600, 0o640)
    assert parse("json", path.read_text()) == {"theme": "dark", "env": {"KEY": KEY.reveal(), "URL": "http://h"}}
    undo(journal)
    assert path.read_text() == '{"theme": "dark"}'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert journal.read() == {}


def test_where_there_is_no_key_its_mode_stays(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    path.chmod(0o644)
    apply([edit(path, {("env", "KEY"): KEYLESS})], journal, "now", Secret(KEYLESS))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_new_file_is_its_owners_alone_and_goes_again(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "new" / "settings.json"
    assert apply([edit(path)], journal, "now", KEY) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    undo(journal)
    assert not path.exists()


def test_a_link_stays_one(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "dotfiles").write_text("{}")
    link = tmp_path / "settings.json"
    link.symlink_to("dotfiles")
    apply([edit(link)], journal, "now", KEY)
    assert link.is_symlink()
    assert KEY.reveal() in (tmp_path / "dotfiles").read_text()


def test_what_others_wrote_since_stays_when_it_is_undone(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"env": {"URL": "mine"}}')
    apply([edit(path)], journal, "now", KEY)
    path.write_text(path.read_text().replace('"env"', '"added": 1, "env"'))
    undo(journal)
    assert parse("json", path.read_text()) == {"added": 1, "env": {"URL": "mine"}}


def test_a_second_setup_keeps_the_first_ones_backup(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    apply([edit(path)], journal, "one", KEY)
    assert apply([edit(path, {("env", "MORE"): "1"})], journal, "two", KEY) == []
    undo(journal)
    assert path.read_text() == "{}"


def test_changes_between_two_setups_survive(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "settings.json"
    apply([edit(path)], journal, "one", KEY)
    path.write_text(path.read_text().replace('"env"', '"mine": 1, "env"'))
    apply([edit(path, {("env", "URL"): "http://other"})], journal, "two", KEY)
    undo(journal)
    assert parse("json", path.read_text()) == {"mine": 1}


def test_a_setup_that_changes_nothing_writes_nothing(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "settings.json"
    apply([edit(path)], journal, "one", KEY)
    before = path.stat().st_mtime_ns
    assert apply([edit(path)], journal, "two", KEY) == []
    assert path.stat().st_mtime_ns == before


def test_a_file_that_cannot_be_merged_names_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{ // comment\n}")
    with pytest.raises(ConfigError, match=r"settings\.json: this is no json .* set these by hand: env\.KEY, env\.URL"):
        planned(edit(path))


def test_a_lost_backup_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("{}")
    touched = Touched(path=str(tmp_path / "f"), format="json", keys=(("a",),), backup=str(tmp_path / "gone"), digest="")
    with pytest.raises(ConfigError, match="is gone"):
        undone(touched)


OFFERS = (Offer(id="claude-opus-5", context_tokens=200_000, output_tokens=64_000), Offer(id="harbour"))
FURNITURE = {
    "json": b'{\r\n\t"theme": "d\xc3\xa4rk",\r\n\t"env": {"KEPT": "1"},\r\n\t"tips": false\r\n}',
    "toml": b'\xef\xbb\xbf# mine\nmodel = "mine" # why\n\n[other]\n# said of x\nx = [1,\n  2]',
    "dotenv": b"# mine\r\nexport KEPT='a b'\r\n\r\nOPENAI_API_KEY=mine",
}
"""As people and other programs leave them."""


@pytest.mark.parametrize("client", CLIENTS, ids=lambda each: each.name)
class TestEveryClient:
    def edits(self, client: Client, folder: Path, model: Offer | None) -> tuple[Edit, ...]:
        access = Access(url="http://127.0.0.1:9", key=KEY, offers=OFFERS, model=model)
        return client.edits(access, {"HOME": str(folder)})

    @pytest.mark.parametrize("is_new", [False, True])
    def test_undone_byte_for_byte_after_any_number_of_setups(
        self, tmp_path: Path, journal: Journal, client: Client, is_new: bool
    ) -> None:
        edits = self.edits(client, tmp_path, OFFERS[1])
        before = {} if is_new else {each.path: FURNITURE[each.format] for each in edits}
        for path, raw in before.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        apply(edits, journal, "now", KEY)
        after = {each.path: each.path.read_bytes() for each in edits}
        assert apply(edits, journal, "again", KEY) == []
        assert {each.path: each.path.read_bytes() for each in edits} == after
        assert all(KEY.reveal() in difference(planned(each), []) or not difference(planned(each), []) for each in edits)
        apply(self.edits(client, tmp_path, OFFERS[0]), journal, "once more", KEY)
        undo(journal)
        assert {each.path: each.path.read_bytes() for each in edits if each.path.exists()} == before

    def test_what_the_user_has_stays_beside_ours(self, tmp_path: Path, journal: Journal, client: Client) -> None:
        edits = self.edits(client, tmp_path, OFFERS[1])
        for each in edits:
            each.path.parent.mkdir(parents=True, exist_ok=True)
            each.path.write_bytes(FURNITURE[each.format])
        apply(edits, journal, "now", KEY)
        for each in edits:
            text = each.path.read_bytes().decode("utf-8-sig")
            told = parse(each.format, text)
            assert {keys: value_at(told, keys) for keys in each.values} == dict(each.values)
            for word in ("# mine", "# said of x") if each.format == "toml" else ("# mine",) * (each.format == "dotenv"):
                assert word in text
            assert ("\r\n" in text) == (each.format != "toml")

    def test_what_others_wrote_since_survives_the_undoing(
        self, tmp_path: Path, journal: Journal, client: Client
    ) -> None:
        edits = self.edits(client, tmp_path, OFFERS[1])
        apply(edits, journal, "now", KEY)
        more = {"json": ("other", "theirs"), "toml": ("other", "theirs"), "dotenv": ("OTHER", "theirs")}
        for each in edits:
            name, value = more[each.format]
            each.path.write_text(changed(each.format, each.path.read_text(), {(name,): value}))
        undo(journal)
        for each in edits:
            name, value = more[each.format]
            assert parse(each.format, each.path.read_text()) == {name: value}
