from __future__ import annotations

import tomllib

import msgspec
import pytest

from proxy.clients.base import Format, Keys
from proxy.clients.documents import ABSENT, Value, changed, parse, value_at
from proxy.errors import ConfigError

JSON = """{
    "theme": "dark",
    "env": {
        "KEPT": "1",
        "OLD": "x"
    }
}
"""
DOTENV = """# mine
export OLD='x'
KEPT = "a b"

OLD=y
"""
TOML = """# mine
model = "old"   # why
notify = ["a", "b"]

[model_providers.proxy]
name = "old"
base_url = "http://old"

# about the profile
[profiles.x]
model = "inner"
"""


def test_json_keeps_order_indentation_and_neighbours() -> None:
    told = changed("json", JSON, {("env", "OLD"): "new", ("env", "MORE"): "2", ("a", "b", "c"): True})
    assert told == JSON.replace('"x"', '"new",\n        "MORE": "2"').replace(
        "    }\n}\n", '    },\n    "a": {\n        "b": {\n            "c": true\n        }\n    }\n}\n'
    )


def test_dotenv_keeps_comments_and_every_other_line() -> None:
    told = changed("dotenv", DOTENV, {("OLD",): "new: word", ("MORE",): "2"})
    assert told == '# mine\nOLD="new: word"\nKEPT = "a b"\n\nMORE="2"\n'
    assert parse("dotenv", told) == {"OLD": "new: word", "KEPT": "a b", "MORE": "2"}


def test_toml_keeps_comments_and_every_other_table() -> None:
    values: dict[Keys, Value] = {
        ("model",): "new",
        ("model_provider",): "proxy",
        ("model_providers", "proxy"): {"name": "proxy", "retries": 3},
    }
    assert changed("toml", TOML, values) == (
        '# mine\nmodel = "new"\nnotify = ["a", "b"]\nmodel_provider = "proxy"\n\n'
        '[model_providers.proxy]\nname = "proxy"\nretries = 3\n\n'
        '[profiles.x]\nmodel = "inner"\n'
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", ""),
        ("json", "{}"),
        ("toml", ""),
        ("toml", "# nothing\n"),
        ("toml", "[other]\nx = 1\n"),
        ("toml", 'model = "x"'),
        ("dotenv", ""),
        ("dotenv", "A=1"),
    ],
)
def test_what_was_added_can_be_taken_out_again(kind: Format, text: str) -> None:
    keys: list[Keys] = [("one",)] if kind == "dotenv" else [("one",), ("two", "three")]
    values: dict[Keys, Value] = {each: "1" if len(each) == 1 else {"four": "4"} for each in keys}
    with_them = changed(kind, text, values)
    assert [value_at(parse(kind, with_them), each) for each in keys] == list(values.values())
    assert changed(kind, with_them, values) == with_them
    without = changed(kind, with_them, dict.fromkeys(keys, ABSENT))
    assert parse(kind, without) == parse(kind, text)


@pytest.mark.parametrize(
    ("kind", "text", "keys"),
    [
        ("json", '{"a": 1 // why\n}', ("a",)),
        ("json", "[]", ("a",)),
        ("toml", "model = ", ("model",)),
        ("toml", 'model = """\none\ntwo"""\n', ("model",)),
        ("toml", 'model_providers = { proxy = { name = "x" } }\n', ("model_providers", "proxy")),
        ("toml", 'notify = [\n["a"]\n]\nmodel = "x"\n', ("model",)),
    ],
)
def test_what_cannot_be_changed_without_harm_is_left_alone(kind: Format, text: str, keys: Keys) -> None:
    with pytest.raises(ConfigError):
        changed(kind, text, {keys: {"name": "y"} if len(keys) > 1 else "y"})


def test_values_are_found_by_their_way() -> None:
    document = msgspec.json.decode(JSON)
    assert value_at(document, ("env", "KEPT")) == "1"
    assert value_at(document, ("theme", "KEPT")) is ABSENT
    assert tomllib.loads(changed("toml", TOML, {("model",): 'a"b\\'}))["model"] == 'a"b\\'
