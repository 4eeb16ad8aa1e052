from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.accounts.desk import Row
from proxy.accounts.diagnosis import RELEASED, CliFact, Facts, diagnosed, is_well

ACCOUNT = Row(id="claude-code-1", label="ada", provider="claude-code", state="ready", file="ada.json")
CLAUDE = CliFact(
    name="claude", whose="Claude Code", is_needed=True, is_backend=True, pinned="2.1.328", version="2.1.328", place="/c"
)
WELL = Facts(
    config="config.yaml",
    port=8317,
    folder="/data",
    folder_mode=0o700,
    free_bytes=10**10,
    rows=(ACCOUNT,),
    clis=(CLAUDE,),
    landlock=6,
    doors={1455: "", 8085: ""},
    memory_bytes=32 * 1024**3,
    files_max=65536,
    now=RELEASED + 1000,
    newest=RELEASED + 900,
)


def told(facts: Facts, check: str) -> list[tuple[str, str]]:
    return [(each.state, each.says) for each in diagnosed(facts) if each.check == check]


def test_all_is_well() -> None:
    found = diagnosed(WELL)
    assert {each.state for each in found} == {"good"}
    assert [each.remedy for each in found if each.remedy] == []
    assert is_well(found)


def test_a_key_that_was_never_used_here_is_noted() -> None:
    (found,) = told(replace(WELL, management_key="its first use may have to wait"), "key")
    assert found == ("note", "the management key: its first use may have to wait")


def test_a_config_that_others_may_read_is_noted() -> None:
    assert ("note", "config.yaml holds keys, and others of this machine may read it") in told(
        replace(WELL, is_config_open=True), "config"
    )


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no config": ("config", {"config_error": "config.yaml:3: prot: there is no such setting"}, "no such setting"),
    "somebody has the port": ("port", {"port_owner": "nginx (process 12)"}, "taken by nginx"),
    "no folder to look into": ("auth-dir", {"folder_fault": "/data belongs to another user"}, "another user"),
    "others may read": ("auth-dir", {"loose": ("/data/homes",)}, "/data/homes can be read by others"),
    "a disk that takes nothing": ("disk", {"unwritable": "Read-only file system"}, "Read-only"),
    "a disk that is full": ("disk", {"free_bytes": 1024**2}, "1 MB"),
    "a file that means nothing": (
        "account",
        {"rows": (ACCOUNT, replace(ACCOUNT, label="bob", state="quarantined", why="is no JSON"))},
        "bob (claude-code) is quarantined: is no JSON",
    ),
    "nobody is ready": ("account", {"rows": (replace(ACCOUNT, state="disabled"),)}, "no account is ready"),
    "a login that is over": (
        "account",
        {"resting": {"claude-code-1": "broken: its login is over"}},
        "its login is over",
    ),
    "no CLI": ("cli", {"clis": (replace(CLAUDE, missing="the claude CLI is not there; get it"),)}, "is not there"),
    "an old CLI": ("cli", {"clis": (replace(CLAUDE, outdated="it is too old; get it"),)}, "it is too old"),
    "a CLI of another mind": ("cli", {"clis": (replace(CLAUDE, lacking=("--tools",)),)}, "does not know --tools"),
    "a port that cannot be shared": ("workers", {"workers": 4, "can_share": False}, "cannot share a port"),
    "a clock from before": ("clock", {"now": RELEASED - 1}, "earlier than this version"),
    "a clock that is behind": ("clock", {"newest": RELEASED + 2000}, "1000 seconds behind"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad(case: str) -> None:
    check, facts, says = BAD[case]
    found = diagnosed(replace(WELL, **facts))
    assert [says in each.says for each in found if each.check == check and each.state == "bad"] == [True]
    assert not is_well(found)
    assert {each.check for each in found if each.state == "bad"} == {check}


NOTES: dict[str, tuple[str, dict[str, Any], str]] = {
    "an old setting": ("config", {"warnings": ("port: an old name",)}, "an old name"),
    "nothing there yet": ("auth-dir", {"folder_mode": None}, "not there yet"),
    "something was mended": ("auth-dir", {"remarks": ("ada.json was readable by others",)}, "ada.json was readable"),
    "nobody at all": ("account", {"rows": ()}, "simulated ones are served"),
    "one that rests": ("account", {"resting": {"claude-code-1": "cooling: 5h is used up"}}, "5h is used up"),
    "one that is disabled": (
        "account",
        {"rows": (ACCOUNT, replace(ACCOUNT, label="bob", state="disabled"))},
        "bob (claude-code) is disabled",
    ),
    "a CLI that nobody needs": (
        "cli",
        {"clis": (CLAUDE, replace(CLAUDE, whose="Grok", is_needed=False, missing="the grok CLI is not there"))},
        "no account needs it",
    ),
    "no sandbox": ("sandbox", {"landlock": 0}, "give it a user of its own"),
    "half a sandbox": ("sandbox", {"landlock": 3}, "Landlock 3"),
    "a port of a login's": ("login", {"doors": {1455: "codex (process 7)", 8085: ""}}, "port 1455"),
    "little memory": ("memory", {"memory_bytes": 2 * 1024**3}, "up to 4 processes"),
    "workers with nothing to do": (
        "workers",
        {"workers": 2, "cores": 2, "idle": "request-log is on"},
        "the first one serves everything: request-log is on",
    ),
    "more workers than cores": ("workers", {"workers": 8, "cores": 2}, "8 processes serve, from 2 cores"),
    "few files": ("limits", {"files_max": 1024}, "1024 files"),
}


@pytest.mark.parametrize("case", NOTES)
def test_a_note_is_no_failure(case: str) -> None:
    check, facts, says = NOTES[case]
    found = diagnosed(replace(WELL, **facts))
    assert [says in each.says for each in found if each.check == check and each.state == "note"] == [True]
    assert is_well(found)


def test_who_serves_is_told() -> None:
    assert told(replace(WELL, workers=2, cores=4), "workers") == [("good", "2 processes serve, from 4 cores")]
    ((state, says),) = told(replace(WELL, cores=4), "workers")
    assert (state, says.partition(";")[0]) == ("good", "one process serves, from one of 4 cores")
    assert told(WELL, "workers") == [], "of one core there is nothing to say"


def test_what_can_be_done_is_said() -> None:
    lost = replace(WELL, clis=(replace(CLAUDE, missing="the claude CLI is not there"),))
    assert [each.remedy for each in diagnosed(lost) if each.remedy] == ["proxy cli install claude"]


def test_a_server_that_runs_has_its_port_by_right() -> None:
    assert told(replace(WELL, is_serving=True), "port") == [("good", "the server answers on port 8317")]


def test_without_a_config_there_is_only_the_machine() -> None:
    found = diagnosed(Facts(config="", config_error="it is no YAML", landlock=6, files_max=65536, now=RELEASED))
    assert [each.check for each in found] == ["config", "sandbox", "clock"]


def test_a_home_that_no_file_leads_to_is_told() -> None:
    facts = replace(WELL, strays=("codex-0123456789ab",))
    ((state, says),) = told(facts, "home")
    assert (state, "homes/codex-0123456789ab may hold a login" in says) == ("note", True)
    assert is_well(diagnosed(facts))
