"""A caller's words in a file of settings, whose CLI puts the values of variables into them: ``$HOME``, ``${HOME}``."""

from __future__ import annotations

from proxy.hub.residue import JsonValue

VARIABLES = {"RELAY_DOLLAR": "$"}
"""What the CLI is started with, for that."""
_MARK, _SPELLED = "$", "${RELAY_DOLLAR}"


def spelled_out(value: JsonValue) -> JsonValue:
    """So that each ``$`` is one when it has been read. Names of members are not looked at by the CLIs."""
    match value:
        case str():
            return value.replace(_MARK, _SPELLED)
        case list():
            return [spelled_out(each) for each in value]
        case dict():
            return {key: spelled_out(each) for key, each in value.items()}
        case _:
            return value
