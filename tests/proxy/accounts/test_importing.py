from __future__ import annotations

from pathlib import Path

from proxy.accounts.desk import Desk
from proxy.accounts.importing import take
from proxy.accounts.sources import Finding
from proxy.config.load import parse

SERVICE = {"client_email": "a@b", "private_key": "k", "project_id": "p"}
FINDINGS = [
    Finding(source="one", fields={"type": "claude-api-key", "api-key": "key-1"}),
    Finding(source="same", fields={"type": "claude-api-key", "api-key": "key-1"}),
    Finding(source="login", why="a login"),
    Finding(source="config", fields={"type": "gemini-api-key", "api-key": "key-of-the-config"}),
    Finding(source="wrong", fields={"type": "codex-api-key", "api-key": "a b"}),
    Finding(source="service", fields={"type": "vertex", "service-account": SERVICE}, dropped=("timezone",)),
    Finding(source="bad name", fields={"type": "codex-api-key", "api-key": "key-2"}, name="a b.json"),
]


def test_of_each_it_says_what_it_did(tmp_path: Path) -> None:
    config = parse(b"gemini-api-key: [key-of-the-config]").config
    desk = Desk(tmp_path / "accounts", config)
    dry = list(take(desk, FINDINGS, is_dry=True))
    assert not (tmp_path / "accounts").exists()
    done = list(take(desk, FINDINGS, is_dry=False))
    assert [outcome.is_taken for outcome in dry] == [True, False, False, False, False, True, True]
    assert [outcome.is_taken for outcome in done] == [True, False, False, False, False, True, True]
    what = {outcome.source: outcome.what for outcome in done}
    files = sorted(path.name for path in (tmp_path / "accounts").iterdir())
    assert what["one"] == f"imported as {files[0]}"
    assert what["same"] == "is the same account as one above"
    assert what["login"] == "a login"
    assert what["config"] == "is there already, in the config file"
    assert what["wrong"].startswith("is not imported: it api-key holds a blank")
    assert what["service"] == f"imported as {files[2]}; without an equivalent here: timezone"
    assert what["bad name"] == f"imported as {files[1]}"
    again = {outcome.source: outcome.what for outcome in take(desk, FINDINGS, is_dry=False)}
    assert again["one"] == f"is there already, in {files[0]}"
