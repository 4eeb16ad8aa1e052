"""Settings as a person would write them: without what is said anyway."""

from __future__ import annotations

from proxy.config.settings import GroupOf, JsonValue, Kind, ListOf, MapOf, settings_of
from proxy.config.show import jsonable


def lean(value: JsonValue, kind: Kind) -> JsonValue:
    """Members that have their default are left out; an entry that is one text becomes it. What does not fit the kind
    stays as it is, for the complaint about it.
    """
    match kind, value:
        case ListOf(item), list():
            return [lean(each, item) for each in value]
        case MapOf(item), dict():
            return {key: lean(each, item) for key, each in value.items()}
        case GroupOf(), dict():
            return _lean_group(value, kind)
        case _:
            return value


def _lean_group(value: dict[str, JsonValue], kind: GroupOf) -> JsonValue:
    settings = {setting.key: setting for setting in settings_of(kind.group)}
    kept: dict[str, JsonValue] = {}
    for key, each in value.items():
        setting = settings.get(key)
        if setting is None:
            kept[key] = each
            continue
        leaner = lean(each, setting.kind)
        if setting.is_required or (leaner is not None and leaner != jsonable(setting.kind, setting.default)):
            kept[key] = leaner
    return kept[kind.plain] if kind.plain is not None and set(kept) == {kind.plain} else kept
