"""Lists of the configuration: what a script or a panel sends, and what stands in the file afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from management.masking import mask_of
from management.resources.lists import replacing
from proxy.config.edit import changed

TEXT = """\
api-keys:
  - first-key-of-mine   # the laptop
  - api-key: second-key-of-mine  # the phone
    name: phone
claude-api-key:
  # pays for the nights
  - api-key: sk-ant-one-of-mine
    weight: 2   # twice
  - api-key: sk-ant-two-of-mine
    base-url: https://a.example.com
  - api-key: sk-ant-two-of-mine
    base-url: https://b.example.com
openai-compatibility:
  - name: groq
    base-url: https://api.groq.example/v1
    api-key-entries:
      - api-key: gsk-one-of-mine
"""


@pytest.fixture
async def stage(open_stage: Any) -> AsyncIterator[Any]:
    async with open_stage(TEXT) as stage:
        yield stage


def held(stage: Any, name: str) -> Any:
    return yaml.safe_load(stage.config.read_text()).get(name)


async def ok(stage: Any, method: str, path: str, content: object = None) -> None:
    answer = await stage.ask(method, path, content)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def refused(stage: Any, method: str, path: str, content: object = None) -> tuple[int, str]:
    before = stage.config.read_bytes()
    answer = await stage.ask(method, path, content)
    assert stage.config.read_bytes() == before
    return answer.status, answer.json["error"]


async def test_a_list_holds_masks_and_never_keys(stage: Any) -> None:
    told = await stage.ask("GET", "/api-keys")
    assert told.json == {
        "api-keys": [
            mask_of("first-key-of-mine"), {"api-key": mask_of("second-key-of-mine"), "name": "phone"}
        ]
    }  # fmt: skip
    for path in ("/claude-api-key", "/openai-compatibility", "/config", "/config.yaml", "/auth-files"):
        answer = await stage.ask("GET", path)
        assert b"of-mine" not in answer.body, path
    entries = (await stage.get("/claude-api-key"))["claude-api-key"]
    assert [entry["base-url"] for entry in entries] == ["", "https://a.example.com", "https://b.example.com"]
    indexes = {each["auth_index"] for each in (await stage.get("/auth-files"))["files"]}
    assert {entry["auth-index"] for entry in entries} <= indexes | {entries[0]["auth-index"]}


@pytest.mark.parametrize("path", ["/api-keys", "/claude-api-key", "/openai-compatibility"])
@pytest.mark.parametrize("is_wrapped", [True, False])
async def test_what_was_read_can_be_put_back_and_changes_nothing(stage: Any, path: str, *, is_wrapped: bool) -> None:
    before = stage.config.read_text()
    items = (await stage.get(path))[path[1:]]
    await ok(stage, "PUT", path, {"items": items} if is_wrapped else items)
    assert stage.config.read_text() == before


async def test_a_panel_changes_one_entry_of_the_whole_list(stage: Any) -> None:
    items = (await stage.get("/claude-api-key"))["claude-api-key"]
    items[0]["priority"] = 7
    await ok(stage, "PUT", "/claude-api-key", [items[0], items[2]])
    assert held(stage, "claude-api-key") == [
        {"api-key": "sk-ant-one-of-mine", "weight": 2, "priority": 7},
        {"api-key": "sk-ant-two-of-mine", "base-url": "https://b.example.com"},
    ]
    assert "# twice" in stage.config.read_text()
    assert "# pays for the nights" in stage.config.read_text()


async def test_client_keys(stage: Any) -> None:
    await ok(stage, "PATCH", "/api-keys", {"index": 0, "value": "another-key-of-mine"})
    await ok(stage, "PATCH", "/api-keys", {"old": "second-key-of-mine", "new": "third-key-of-mine"})
    await ok(stage, "PATCH", "/api-keys", {"old": "nowhere", "new": "fourth-key-of-mine"})
    assert held(stage, "api-keys") == [
        "another-key-of-mine", {"api-key": "third-key-of-mine", "name": "phone"}, "fourth-key-of-mine"
    ]  # fmt: skip
    text = stage.config.read_text()
    assert "# the laptop" in text
    assert "# the phone" in text
    await ok(stage, "DELETE", "/api-keys?value=fourth-key-of-mine")
    await ok(stage, "DELETE", f"/api-keys?value={quote(mask_of('another-key-of-mine'))}")
    await ok(stage, "DELETE", "/api-keys?index=0")
    assert not held(stage, "api-keys")
    assert (await stage.get("/api-keys")) == {"api-keys": []}


async def test_provider_keys(stage: Any) -> None:
    await ok(stage, "PATCH", "/claude-api-key", {"match": "sk-ant-one-of-mine", "value": {"prefix": "team"}})
    mask = mask_of("sk-ant-one-of-mine")
    await ok(stage, "PATCH", "/claude-api-key", {"match": mask, "value": {"weight": None, "priority": 3}})
    at_b = "/claude-api-key?base-url=https://b.example.com"
    await ok(stage, "PATCH", at_b, {"match": "sk-ant-two-of-mine", "value": {"weight": 5}})
    await ok(stage, "DELETE", "/claude-api-key?api-key=sk-ant-two-of-mine&base-url=https://a.example.com")
    assert held(stage, "claude-api-key") == [
        {"api-key": "sk-ant-one-of-mine", "prefix": "team", "priority": 3},
        {"api-key": "sk-ant-two-of-mine", "base-url": "https://b.example.com", "weight": 5},
    ]
    assert stage.house.config.claude_api_key[0].priority == 3


async def test_a_compatible_provider_is_called_by_its_name(stage: Any) -> None:
    await ok(stage, "PATCH", "/openai-compatibility", {"name": "groq", "value": {"disabled": True}})
    assert held(stage, "openai-compatibility")[0]["disabled"] is True
    await ok(stage, "DELETE", "/openai-compatibility?name=groq")
    assert not held(stage, "openai-compatibility")


async def test_a_list_that_is_not_there_yet(stage: Any) -> None:
    await ok(stage, "PUT", "/gemini-api-key", [{"api-key": "AIza-one-of-mine"}])
    await ok(stage, "PUT", "/server/allowed-hosts", ["proxy.example.com"])
    assert held(stage, "gemini-api-key") == ["AIza-one-of-mine"]
    assert held(stage, "server") == {"allowed-hosts": ["proxy.example.com"]}
    await ok(stage, "PATCH", "/server/allowed-hosts", {"old": "proxy.example.com", "new": "p.example.com"})
    assert await stage.get("/server/allowed-hosts") == {"allowed-hosts": ["p.example.com"]}


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("PUT", "/api-keys", {"items": []}, 400, "items is empty"),
        ("PUT", "/api-keys", {"value": []}, 400, "invalid body"),
        ("PUT", "/api-keys", "x", 400, "invalid body"),
        ("PATCH", "/api-keys", {"index": 9, "value": "some-key-of-mine"}, 404, "item not found"),
        ("PATCH", "/api-keys", {"index": 0}, 400, "missing fields"),
        ("PATCH", "/api-keys", {"old": "x"}, 400, "missing fields"),
        ("PATCH", "/claude-api-key", {"match": "nobody", "value": {}}, 404, "item not found"),
        ("PATCH", "/claude-api-key", {"match": "sk-ant-two-of-mine", "value": {}}, 400, "2 entries match"),
        ("PATCH", "/claude-api-key", {"index": 0, "value": {"wieght": 1}}, 400, "wieght"),
        ("PATCH", "/claude-api-key", {"index": 0, "value": {"api-key": "•••00000000"}}, 400, "no secret here"),
        ("DELETE", "/claude-api-key", None, 400, "missing index"),
        ("DELETE", "/claude-api-key?index=x", None, 400, "index must be"),
        ("DELETE", "/claude-api-key?api-key=nobody", None, 404, "item not found"),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    stage: Any, method: str, path: str, content: object, status: int, words: str
) -> None:
    told = await refused(stage, method, path, content)
    assert told[0] == status
    assert words in told[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("abc", "ac"),
        ("abc", "abcd"),
        ("abc", "xbc"),
        ("abc", ""),
        ("", "ab"),
        ("aab", "ab"),
        ("abc", "cab"),
        ("ab", "bc"),
    ],
)
def test_edits_make_the_one_list_of_the_other(old: str, new: str) -> None:
    tree: Any = {"list": list(old)} if old else {}
    for edit in replacing(("list",), list(old), list(new), lambda item: item):
        tree = changed(tree, edit)
    assert tree["list"] == list(new)
