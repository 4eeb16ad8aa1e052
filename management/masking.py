"""Settings as the API shows them: each secret as a mask of its own, which stands for it when it comes back.

A panel gets a list, changes one entry and puts the list back: what it never saw is kept all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import urlsplit

from auth.secret import Secret
from management.refusal import Refusal
from proxy.config.schema import Config
from proxy.config.settings import Group, GroupOf, JsonValue, Kind, ListOf, MapOf, Setting, Text, Time, settings_of
from proxy.config.show import MASK, duration_text


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
        """A file's text with its secrets masked; the longest first, as one may hold another."""
        for mask, secret in sorted(self.secrets.items(), key=lambda pair: -len(pair[1])):
            raw = raw.replace(secret, mask)
        return raw

    def restored_text(self, text: str) -> str:
        for mask, secret in self.secrets.items():
            text = text.replace(mask, secret)
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
        parts = urlsplit(text)
        return self._masked(text) if "@" in parts.netloc or parts.query else text

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
