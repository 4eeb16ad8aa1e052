from __future__ import annotations

import tomllib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        '# mine\nmodel = "new"   # why\nnotify = ["a", "b"]\nmodel_provider = "proxy"\n\n'
        '[model_providers.proxy]\nname = "proxy"\nretries = 3\n\n'
        '# about the profile\n[profiles.x]\nmodel = "inner"\n'
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


def test_line_ends_stay_as_they_are() -> None:
    for kind, text in (("json", JSON), ("dotenv", DOTENV), ("toml", TOML)):
        windows = text.replace("\n", "\r\n")
        keys: Keys = ("OLD",) if kind == "dotenv" else ("model",)
        told = changed(kind, windows, {keys: "new"})  # type: ignore[arg-type]  # each is a format
        assert told == changed(kind, text, {keys: "new"}).replace("\n", "\r\n")  # type: ignore[arg-type]


def test_what_only_unicode_calls_a_line_end_is_none() -> None:
    text = "# one\u2028two\x0cthree\nA='x\u2028y'\n"
    assert changed("dotenv", text, {("B",): "1"}) == text + 'B="1"\n'
    text = '# one\u2028two\nmodel = "x\u2028y"\n'
    assert changed("toml", text, {("other",): "1"}) == text + 'other = "1"\n'


LINES: dict[Format, list[str]] = {
    "toml": [
        "# mine", "", "  # indented", 'theme = "dark" # why', "sizes = [1, 2]", 'model = "old" # mine',
        "model_provider='x'",
        "[other]", "inner = true # inner", "[[many]]", "n = 1", "[model_providers.else]", 'name = "else"',
        "[model_providers.proxy]", 'name = "before"', "# of the next", "[last] # table", 'text = "a # b"',
    ],
    "dotenv": ["# mine", "", "A=1", "export B='two words'", 'C="x" ', "OLD=x", " OLD = y", "# OLD=z", "no assignment"],
    "json": [],
}  # fmt: skip
OURS: dict[Format, dict[Keys, Value]] = {
    "toml": {("model",): "new", ("model_provider",): "proxy", ("model_providers", "proxy"): {"name": "ours", "n": 1}},
    "dotenv": {("OLD",): "new", ("MORE",): "a b"},
    "json": {("env", "KEY"): "k", ("model",): "new"},
}
json_documents = st.dictionaries(
    st.sampled_from(["env", "theme", "model", "x"]),
    st.dictionaries(st.sampled_from(["KEY", "KEPT"]), st.text(max_size=3)) | st.none() | st.integers() | st.just("ü"),
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[Format, str]:
    """As people leave them: in any order, with or without a last line end, of either kind."""
    kind = draw(st.sampled_from([*LINES]))
    if kind == "json":
        indent = draw(st.sampled_from([-1, 0, 2, 4, 7]))
        text = msgspec.json.format(msgspec.json.encode(draw(json_documents)), indent=indent).decode()
    else:
        text = "\n".join(draw(st.lists(st.sampled_from(LINES[kind]), max_size=12)))
    text += draw(st.sampled_from(["", "\n", "\n\n"]))
    return kind, text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@settings(deadline=None)
@given(document=documents())
def test_whatever_stands_there_stays(document: tuple[Format, str]) -> None:
    """Or nothing is touched. A second time changes nothing, and our values can be taken out again."""
    kind, text = document
    ours = OURS[kind]
    try:
        before = parse(kind, text)
        told = changed(kind, text, ours)
    except ConfigError:
        return
    assert [value_at(parse(kind, told), keys) for keys in ours] == [*ours.values()]
    assert changed(kind, told, ours) == told
    back = changed(kind, told, {keys: value_at(before, keys) for keys in ours})
    assert {key: value for key, value in parse(kind, back).items() if value != {}} == {
        key: value for key, value in before.items() if value != {}
    }
    if kind != "json":
        remarks = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
        assert [line.strip() for line in told.splitlines() if line.strip().startswith("#")] == remarks
        assert [line for line in told.split("\n")[:-1] if line.endswith("\r")] == (
            told.split("\n")[:-1] if "\r\n" in text else []
        )
