"""config.yaml at the top of the tree is the settings' own documentation."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.config.client_keys import hash_of
from proxy.config.load import parse
from proxy.config.sample import sample
from proxy.config.schema import Config
from proxy.config.settings import settings_of
from proxy.config.show import plain

FILE = Path(__file__).parents[3] / "config.yaml"
OFF = re.compile(r"^(\s*)#(?! \S)", re.MULTILINE)
"""What switches a setting off: a # with no word of prose behind it."""


def test_the_file_is_what_the_settings_say() -> None:
    assert FILE.read_text() == sample(), (
        "write it anew: python -c 'from proxy.config.sample import sample; print(sample(), end=\"\")' > config.yaml"
    )


def test_it_loads_to_the_defaults_without_a_word() -> None:
    loaded = parse(FILE.read_bytes())
    assert (loaded.config, loaded.warnings) == (Config(), ())


def test_with_everything_switched_on_it_is_a_good_config() -> None:
    text = OFF.sub(r"\1", FILE.read_text())
    for example, own in (
        ("a-long-random-word", "my-own"),
        ("a-key-that-you-made-up", "mine"),
        (hash_of("a-key-that-you-made-up"), hash_of("mine")),
    ):
        text = text.replace(example, own)
    loaded = parse(text.encode())
    assert loaded.warnings == ()
    empty = [key for key, value in plain(loaded.config).items() if value in ("", [], {})]
    assert empty == []


def test_each_setting_stands_there_with_its_sentence() -> None:
    words = " ".join(line.strip(" #") for line in FILE.read_text().splitlines())
    for setting in settings_of(Config):
        assert f"{setting.key}:" in words
        assert setting.sentence in words
