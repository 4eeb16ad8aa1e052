"""Settings as the API shows them: each secret as a mask of its own, which stands for it when it comes back.

A panel gets a list, changes one entry and puts the list back: what it never saw is kept all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast
from urllib.parse import urlsplit

import msgspec

from auth.secret import Secret
from management.refusal import Refusal
from proxy.config import nodes
from proxy.config.complaints import Complaints
from proxy.config.nodes import Node, Scalar, compose
from proxy.config.schema import Config
from proxy.config.settings import Group, GroupOf, JsonValue, Kind, ListOf, MapOf, Setting, Text, Time, settings_of
from proxy.config.show import MASK, duration_text

LONG_CHARACTERS = 8
"""So long a secret is no word of anything else."""
_AS_IT_IS = re.compile(r"[^\"'\\\x00-\x1f\x7f-\x9f]*")
"""Needs no escapes, however it is quoted."""


def mask_of(secret: str) -> str:
    """The same for the same secret; eight digits of its digest."""
    return f"{MASK}{Secret(secret).digest[:8]}" if secret else ""


class Masked:
    """`settings`: all of them, by their YAML keys. `secrets`: mask → what it stands for."""

    def __init__(self, config: Config) -> None:
        self.secrets: dict[str, str] = {}
        self.settings = self._group(cast("Group", config))

    def restored(self, value: JsonValue) -> JsonValue:
        """With the secrets behind their masks. Raises `Refusal` for a mask that stands for none of them."""
        match value:
            case str() if MASK in value:
                return self._secret(value)
            case list():
                return [self.restored(each) for each in value]
            case dict():
                return {key: self.restored(each) for key, each in value.items()}
            case _:
                return value

    def text(self, raw: str) -> str:
        """A file's text with its secrets masked: where they stand, and the long ones wherever they stand, as in a
        comment. The longest first, as one may hold another. It learns what the file has beside the configuration.
        """
        root = compose(raw, Complaints("config.yaml"))
        scalars = [] if root is None else [each for each in _secrets(GroupOf(Config, None), root) if each.text]
        for scalar in sorted(scalars, key=lambda each: -each.start):
            mask, token = self._masked(scalar.text), raw[scalar.start : scalar.end]
            shown = token.replace(scalar.text, mask) if scalar.text in token else f'"{mask}"'
            raw = raw[: scalar.start] + shown + raw[scalar.end :]
        for mask, secret in sorted(self.secrets.items(), key=lambda pair: -len(pair[1])):
            if len(secret) >= LONG_CHARACTERS:
                raw = raw.replace(secret, mask)
        return raw

    def restored_text(self, text: str) -> str:
        for mask, secret in self.secrets.items():
            if _AS_IT_IS.fullmatch(secret):
                text = text.replace(mask, secret)
            else:
                quoted = msgspec.json.encode(secret).decode()
                text = re.sub(f"([\"']?){mask}\\1", lambda _, quoted=quoted: quoted, text)  # type: ignore[misc]  # its default is its argument
        if MASK in text:
            raise Refusal(422, f"a value that begins with {MASK} stands for no secret here", code="invalid_config")
        return text

    def _secret(self, mask: str) -> str:
        if mask in self.secrets:
            return self.secrets[mask]
        raise Refusal(400, f"{mask[:100]!r} stands for no secret here: send the secret itself")

    def _group(self, group: Group) -> dict[str, JsonValue]:
        return {each.key: self._setting(each, getattr(group, each.attribute)) for each in settings_of(type(group))}

    def _setting(self, setting: Setting, value: object) -> JsonValue:
        if setting.limits.is_private:
            return self._private(value)
        return self._value(setting.kind, value)

    def _private(self, value: object) -> JsonValue:
        if isinstance(value, Mapping):
            return {key: self._masked(str(each)) for key, each in value.items()}
        text = str(value)
        return self._masked(text) if _has_password(text) else text

    def _masked(self, secret: str) -> str:
        mask = mask_of(secret)
        if secret:
            self.secrets[mask] = secret
        return mask

    def _value(self, kind: Kind, value: object) -> JsonValue:
        match kind:
            case GroupOf():
                return self._group(cast("Group", value))
            case ListOf(item):
                return [self._value(item, each) for each in cast("Iterable[object]", value)]
            case MapOf(item):
                return {key: self._value(item, each) for key, each in cast("Mapping[str, object]", value).items()}
            case Time():
                return duration_text(cast("float", value))
            case Text(is_secret=True):
                return self._masked(cast("Secret", value).reveal())
            case _:
                return cast("JsonValue", value)


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return "@" in parts.netloc or bool(parts.query)


def _secrets(kind: Kind, node: Node) -> Iterator[Scalar]:
    """Of a value of that kind, as far as it is one."""
    match kind, node:
        case GroupOf(group), nodes.Mapping():
            for setting in settings_of(group):
                if entry := node.get(setting.key):
                    yield from _of_setting(setting, entry.value)
        case GroupOf(group, plain), Scalar():
            for setting in settings_of(group):
                if setting.key == plain:
                    yield from _of_setting(setting, node)
        case ListOf(item), nodes.Sequence():
            for each in node.items:
                yield from _secrets(item, each)
        case MapOf(item), nodes.Mapping():
            for entry in node.entries:
                yield from _secrets(item, entry.value)
        case Text(is_secret=True), Scalar():
            yield node


def _of_setting(setting: Setting, node: Node) -> Iterator[Scalar]:
    if not setting.limits.is_private:
        yield from _secrets(setting.kind, node)
    elif isinstance(node, nodes.Mapping):
        yield from (entry.value for entry in node.entries if isinstance(entry.value, Scalar))
    elif isinstance(node, Scalar) and _has_password(node.text):
        yield node
