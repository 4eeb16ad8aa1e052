"""The documented config.yaml: every setting with its sentence and its default. `tests` keeps the file equal to it.

Prose begins with ``# `` and a word. A setting that is off begins with ``#`` and no such blank: without that one
character it is on.
"""

from __future__ import annotations

import textwrap

from proxy.config.schema import Config
from proxy.config.settings import Choice, Group, GroupOf, JsonValue, ListOf, MapOf, Setting, settings_of
from proxy.config.show import jsonable
from proxy.config.writing import indented, inline

WIDTH = 118
EXAMPLE_ACCOUNT = "codex"
"""A kind of account, where a setting asks for one."""

_HEADER = """\
# Every setting, with its default. Where the default is to have none, an example stands behind a #: take that
# one character away to switch it on. Without this file the same defaults hold.
#
# The file is watched: a change is live within a second, and a faulty one changes nothing.
# `proxy config check` finds every mistake at once, `proxy config schema` is for your editor.
"""


def sample() -> str:
    writer = _Writer()
    parts = [_HEADER, *("\n".join([*writer.lines(setting), ""]) for setting in settings_of(Config))]
    return "\n".join(parts)


class _Writer:
    def __init__(self) -> None:
        self._described: dict[type[Group], str] = {}
        """Where the settings of a group are described; later ones point there."""

    def lines(self, setting: Setting, parent: str = "") -> list[str]:
        """With its default; behind a # where that is empty."""
        path = f"{parent}{setting.key}"
        if isinstance(setting.kind, GroupOf):
            inner = [line for each in settings_of(setting.kind.group) for line in self.lines(each, f"{path}.")]
            return [*_comment(setting), f"{setting.key}:", *indented(inner)]
        default = jsonable(setting.kind, setting.default)
        if default not in ("", [], {}):
            return [*_comment(setting), f"{setting.key}: {inline(default)}"]
        return [*_comment(setting), *(f"#{line}" for line in self._example(setting, path))]

    def _example(self, setting: Setting, path: str) -> list[str]:
        match setting.kind:
            case ListOf(GroupOf(group, _)):
                return [f"{setting.key}:", *indented(self._item(group, path))]
            case MapOf(ListOf(GroupOf(group, _))):
                return [f"{setting.key}:", f"  {EXAMPLE_ACCOUNT}:", *indented(self._item(group, path), 4)]
            case _:
                return [f"{setting.key}: {inline(_shown(setting))}"]

    def _item(self, group: type[Group], path: str) -> list[str]:
        """One item of a list: its settings with their sentences where the group is met first, else the needed ones."""
        settings = settings_of(group)
        described = self._described.setdefault(group, path)
        if described != path:
            needed = [setting for setting in settings if setting.is_required] or settings
            first, *rest = [line for setting in needed for line in self._example(setting, f"{path}.{setting.key}")]
            return [f"# As under {described}.", f"- {first}", *indented(rest)]
        lines: list[str] = []
        for setting in settings:
            first, *rest = self._example(setting, f"{path}.{setting.key}")
            margin = "  " if lines else ""
            lines += [margin + line for line in _comment(setting)]
            lines += [f"{margin or '- '}{first}", *indented(rest)]
        return lines


def _shown(setting: Setting) -> JsonValue:
    """An example, or the default where that says enough."""
    if setting.limits.example is not None:
        return setting.limits.example
    return jsonable(setting.kind, setting.default)


def _comment(setting: Setting) -> list[str]:
    words = [setting.sentence]
    if isinstance(setting.kind, Choice):
        words.append(f"One of {', '.join(option for option in setting.kind.options if option)}.")
    if setting.is_required:
        words.append("Required.")
    elif not isinstance(setting.kind, GroupOf):
        default = jsonable(setting.kind, setting.default)
        words.append("Default: none." if default in ([], {}) else f"Default: {inline(default)}.")
    return textwrap.wrap(" ".join(words), WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
