"""What Gemini CLI can say for another client, in Gemini's own words: an outgoing request is cut to it, and each cut is
named.

Observed of gemini 0.61 over the Agent Client Protocol: prompts hold text and files, its settings hold everything of a
request but contents, instructions and tools, and those come from a server of tools, under names that begin with the
server's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject, objects_in
from proxy.providers.base import Limited
from proxy.upstream.gemini_request import OWN_TOOLS, TOOL_PREFIX
from proxy.wire.base import dumps
from proxy.wire.gemini.dialect import to_json_schema
from proxy.wire.gemini.spelling import canonical

NAME_CHARS_MAX = 62 - len(TOOL_PREFIX)
"""It shortens what is longer. One is for the mark at those that are called like a tool of its own."""
_MARK = "_"
_LEGAL = re.compile(r"[A-Za-z0-9_.:-]+")
_VARIABLE = re.compile(r"\$(?=\{(?:AgentSkills|SubAgents|AvailableTools|\w+_ToolName)\})")
_APART = "$\u200b"
_OPENING: JsonObject = {"role": "user", "parts": [{"text": " "}]}
_LEFT_OUT: Mapping[str, str] = {
    "cachedContent": "Gemini CLI sends the whole conversation",
    "store": "Gemini CLI leaves nothing at its provider",
}
_SAID = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "labels"}
)
_SAID_BY_USER = frozenset({"text", "inlineData", "functionResponse"})
_SAID_BY_MODEL = frozenset({"text", "functionCall"})


def profile(known: Profile) -> Profile:
    return replace(
        known,
        takes_media_url=False,
        has_media_in_results=True,
        has_prefill=False,
        has_cache_marks=False,
        hosted_tools=frozenset(),
        extras=frozenset(),
    )


def limits(body: JsonObject) -> Limited:
    """Raises `Untranslatable`."""
    losses: list[Loss] = []
    spelled = canonical(body).body
    body.clear()
    body.update(spelled)
    for key in [*body]:
        if key not in _SAID:
            value = body.pop(key)
            if value not in (None, False, {}, []) and key != "model":
                losses.append(Loss(key, key, _LEFT_OUT.get(key, "Gemini CLI has no such setting")))
    declared = _declared(body)
    _instructions(body, losses)
    _contents(body, declared, losses)
    names = _named(body)
    return Limited(tuple(losses), names)


def _declared(body: JsonObject) -> frozenset[str]:
    """The names of the functions; their parameters in JSON Schema's words. Raises `Untranslatable` for other tools."""
    for at, group in enumerate(objects_in(body.get("tools"))):
        for kind in group:
            if kind != "functionDeclarations":
                raise Untranslatable(
                    f"tools[{at}]: Gemini CLI cannot offer the hosted tool {kind!r}; leave it out, or ask an API key",
                    path=f"tools[{at}]",
                )
    for function in _functions(body):
        if isinstance(written := function.pop("parameters", None), dict):
            function["parametersJsonSchema"] = to_json_schema(written)
    return frozenset(str(function.get("name")) for function in _functions(body))


def _functions(body: JsonObject) -> Iterator[JsonObject]:
    for group in objects_in(body.get("tools")):
        yield from objects_in(group.get("functionDeclarations"))


def _instructions(body: JsonObject, losses: list[Loss]) -> None:
    """Text as parts. What looks like a variable of the CLI's is set apart by a character that nobody sees."""
    given = body.get("systemInstruction")
    if isinstance(given, str):
        given = body["systemInstruction"] = {"parts": [{"text": given}]}
    parts = objects_in(given.get("parts")) if isinstance(given, dict) else []
    for at, part in enumerate(parts):
        text = part.get("text")
        if not isinstance(text, str):
            losses.append(Loss(f"instructions[{at}]", ", ".join(part), "Gemini CLI's instructions are text only"))
            part["text"] = ""
        elif _VARIABLE.search(text):
            losses.append(Loss(f"instructions[{at}]", "${…}", "Gemini CLI would fill it in: it is spelled differently"))
            part["text"] = _VARIABLE.sub(_APART, text)


def _contents(body: JsonObject, declared: frozenset[str], losses: list[Loss]) -> None:
    contents = objects_in(body.get("contents"))
    while contents and contents[-1].get("role") == "model":
        contents.pop()
        why = "Gemini CLI begins each answer itself"
        losses.append(Loss(f"messages[{len(contents)}]", "an answer to go on from", why))
    if contents and contents[0].get("role") == "model":
        contents.insert(0, dict(_OPENING))
    for at, content in enumerate(contents):
        said = _SAID_BY_MODEL if content.get("role") == "model" else _SAID_BY_USER
        parts = objects_in(content.get("parts"))
        told = [_part(part, f"messages[{at}].content[{each}]", said, losses) for each, part in enumerate(parts)]
        content["parts"] = [_in_words(part, declared, losses, at) for part in told if part is not None]
        if not content["parts"]:
            content["parts"] = [{"text": " "}]
    body["contents"] = [*contents]


def _part(part: JsonObject, path: str, said: frozenset[str], losses: list[Loss]) -> JsonObject | None:
    if part.get("thought") is True:
        return None  # which is what the CLI itself does with it
    if said & part.keys():
        return part
    losses.append(Loss(path, ", ".join(part) or "part", "Gemini CLI has no words for it"))
    return None


def _in_words(part: JsonObject, declared: frozenset[str], losses: list[Loss], at: int) -> JsonObject:
    """A call of a tool that is not offered any more: the CLI would answer it itself."""
    for kind, verb in (("functionCall", "called with"), ("functionResponse", "answered")):
        found = part.get(kind)
        if isinstance(found, dict) and found.get("name") not in declared:
            why = "Gemini CLI knows calls of tools that are offered: it is told in words"
            losses.append(Loss(f"messages[{at}].content", f"{kind} {found.get('name')}", why))
            told = found.get("args") if kind == "functionCall" else found.get("response")
            return {"text": f"[{found.get('name')} {verb} {dumps(told).decode()}]"}
    return part


def _named(body: JsonObject) -> NameMap:
    """Under the names by which the model knows them, in place."""
    functions = [*_functions(body)]
    legal = NameMap.within((str(each.get("name")) for each in functions), legal=_LEGAL, length_max=NAME_CHARS_MAX)
    sent = _sent([legal.to_upstream(str(each.get("name"))) for each in functions], functions)
    uses = [each[kind] for each in _parts(body) for kind in ("functionCall", "functionResponse") if kind in each]
    for use in [*functions, *uses]:
        if isinstance(use, dict) and "name" in use:
            use["name"] = sent.get(str(use["name"]), use["name"])
    config = body.get("toolConfig")
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    allowed = calling.get("allowedFunctionNames") if isinstance(calling, dict) else None
    if isinstance(calling, dict) and isinstance(allowed, list):
        calling["allowedFunctionNames"] = [sent.get(str(name), name) for name in allowed]
    return NameMap(sent, {theirs: ours for ours, theirs in sent.items()})


def _sent(legal: Sequence[str], functions: Sequence[JsonObject]) -> dict[str, str]:
    taken = {*legal}
    sent: dict[str, str] = {}
    for name, function in zip(legal, functions, strict=True):
        other = name
        while other in OWN_TOOLS or (other != name and other in taken):
            other += _MARK
        taken.add(other)
        sent[str(function.get("name"))] = TOOL_PREFIX + other
    return sent


def _parts(body: JsonObject) -> Iterator[JsonObject]:
    for content in objects_in(body.get("contents")):
        yield from objects_in(content.get("parts"))
