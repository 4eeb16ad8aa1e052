"""Keys of the configuration that rest: an entry that excludes every model serves none, and stays where it is."""

from __future__ import annotations

from collections.abc import Collection

from management.editing import Tree
from management.refusal import Refusal
from management.state import State
from proxy.config.edit import Edit, Place, Put, Remove
from proxy.config.schema import Config
from proxy.config.settings import JsonValue
from proxy.providers.configured import PROVIDER_OF, key_id

EVERYTHING = "*"


def excluding(state: State, tree: Tree, ids: Collection[str], *, is_excluded: bool) -> list[Edit]:
    """What makes them rest, or serve again. Raises `Refusal` for an account that is no entry of its own."""
    places = places_of(state.config())
    if missing := sorted(set(ids) - places.keys()):
        raise Refusal(409, f"{', '.join(missing)}: change its entry in config.yaml")
    edits: list[Edit] = []
    for own_id in sorted(ids):
        setting, index = places[own_id]
        entries = tree.get(setting)
        if not isinstance(entries, list) or index >= len(entries):
            raise Refusal(409, "config.yaml was changed meanwhile: try again")
        edits += _edits((setting, index), entries[index], is_excluded=is_excluded)
    return edits


def places_of(config: Config) -> dict[str, tuple[str, int]]:
    return {
        key_id(setting, key.api_key, key.base_url): (setting, index)
        for setting in PROVIDER_OF
        for index, key in enumerate(getattr(config, setting.replace("-", "_")))
    }


def _edits(place: Place, entry: JsonValue, *, is_excluded: bool) -> list[Edit]:
    """`entry`: as it stands in the file, where it may be the key alone."""
    if not isinstance(entry, dict):
        return [Put(place, {"api-key": entry, "excluded-models": [EVERYTHING]})] if is_excluded else []
    patterns = entry.get("excluded-models")
    old = patterns if isinstance(patterns, list) else []
    rest = [each for each in old if each != EVERYTHING]
    new = [*rest, EVERYTHING] if is_excluded else rest
    if new == old:
        return []
    return [Put((*place, "excluded-models"), new) if new else Remove((*place, "excluded-models"))]
