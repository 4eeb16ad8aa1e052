"""Keys with which an official CLI asks for everybody else, and what such a CLI can say, in OpenAI Chat's words: an
outgoing request is cut to it, and each cut is named.

Observed of OpenCode 1.18 and Qwen Code 0.24 over the Agent Client Protocol: prompts hold text and files, their settings
hold whatever else a request's body says, but for the choice of a tool with OpenCode, and tools come from a server of
tools, under names that begin with the server's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import msgspec

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject, JsonValue, objects_in
from proxy.providers.base import Limited, Provider
from proxy.providers.profiles import profiles
from proxy.upstream import opencode_settings, qwen_settings

_LEGAL = re.compile(r"[A-Za-z0-9_-]+")
_NAME_CHARS_MAX = 63
_CUT: Mapping[str, str] = MappingProxyType(
    {
        "n": "a conversation goes on from one answer",
        "prediction": "it has no room for it",
        "audio": "it reads text",
        "modalities": "it reads text",
    }
)
_ALIKE: Mapping[str, tuple[JsonValue, ...]] = MappingProxyType({"n": (1,), "modalities": (["text"],)})
"""Values that ask for what it does anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    """`is_own`: how the CLI's own requests say who they are. `takes_choice`: of a tool."""

    whose: str
    prefix: str
    is_own: str
    takes_choice: bool


ASKERS: Mapping[str, _Asker] = MappingProxyType(
    {
        "opencode": _Asker(
            whose="OpenCode", prefix=opencode_settings.TOOL_PREFIX, is_own="opencode/", takes_choice=False
        ),
        "qwen": _Asker(whose="Qwen Code", prefix=qwen_settings.TOOL_PREFIX, is_own="qwencode/", takes_choice=True),
    }
)
"""By the CLI's name, which is also the executor's."""


def by_cli(provider: Provider, cli: str) -> Provider:
    """The provider, asked by that CLI; its own requests go on as they are."""
    asker = ASKERS[cli]
    return replace(
        provider,
        endpoints={"generate": provider.endpoints["generate"]},
        models=tuple(replace(model, operations=frozenset({"generate", "count_tokens"})) for model in provider.models),
        official=(("user-agent", asker.is_own),),
        own_cli=asker.whose,
        cli_executor=cli,
        cli_profile=profiles("openai_compatible", profile),
        cli_limits=partial(limits, asker=asker),
    )


def profile(known: Profile) -> Profile:
    return replace(
        known,
        has_mid_system=False,
        has_developer_role=False,
        has_prefill=False,
        has_cache_marks=False,
        has_custom_tools=False,
        takes_media_url=False,
        has_media_in_results=False,
        has_text_lists=True,
        hosted_tools=frozenset(),
    )


def limits(body: JsonObject, *, asker: _Asker) -> Limited:
    """Raises `Untranslatable`."""
    losses: list[Loss] = []
    for key in [*body]:
        if key in _CUT:
            value = body.pop(key)
            if value is not None and value not in _ALIKE.get(key, ()):
                losses.append(Loss(key, key, f"{asker.whose}: {_CUT[key]}"))
    _offer(body, asker, losses)
    body["messages"] = [*_History(body, asker, losses).told()]
    return Limited(tuple(losses), _named(body, asker))


def _offer(body: JsonObject, asker: _Asker, losses: list[Loss]) -> None:
    if "functions" in body:
        raise Untranslatable(f"functions: {asker.whose} knows them as tools", path="functions")
    tools = objects_in(body.get("tools"))
    for at, tool in enumerate(tools):
        if tool.get("type") != "function":
            raise Untranslatable(
                f"tools[{at}]: {asker.whose} cannot offer a tool of type {tool.get('type')!r}; leave it out, or ask an "
                "account that is asked directly",
                path=f"tools[{at}]",
            )
        if _function(tool).pop("strict", None):
            losses.append(Loss(f"tools[{at}].strict", "strict", f"{asker.whose} offers no strict tools"))
    if not asker.takes_choice:
        _choose(body, tools, asker, losses)


def _choose(body: JsonObject, tools: Sequence[JsonObject], asker: _Asker, losses: list[Loss]) -> None:
    """It offers tools for the model to choose from."""
    choice = body.pop("tool_choice", None)
    if choice in (None, "auto") or not tools:
        return
    if choice == "none":
        del body["tools"]
        return
    named = _function(choice).get("name") if isinstance(choice, dict) else None
    body["tools"] = [each for each in tools if _function(each).get("name") == named] or [*tools]
    losses.append(Loss("tool_choice", "tool_choice", f"{asker.whose} lets the model choose: it need not call one"))


class _History:
    """The messages as the CLI can be told them: from the user's first to the user's last, and no call that it would
    answer itself.
    """

    def __init__(self, body: JsonObject, asker: _Asker, losses: list[Loss]) -> None:
        self._messages = objects_in(body.get("messages"))
        self._offered = {str(_function(each).get("name")) for each in objects_in(body.get("tools"))}
        self._asker = asker
        self._losses = losses
        self._unknown: dict[str, str] = {}
        """The tools that were called so, by the calls' ids."""

    def told(self) -> Iterator[JsonObject]:
        while self._messages and self._messages[-1].get("role") == "assistant":
            self._messages.pop()
        has_begun = False
        for at, message in enumerate(self._messages):
            if message.get("role") == "system":
                yield self._ordered(message, at) if has_begun else message
                continue
            if not has_begun and message.get("role") == "assistant":
                yield {"role": "user", "content": " "}
            has_begun = True
            yield self._said(message, at)

    def _ordered(self, message: JsonObject, at: int) -> JsonObject:
        why = f"in mid-conversation {self._asker.whose} takes only the user's text"
        self._losses.append(Loss(f"messages[{at}]", "system role", why))
        return {"role": "user", "content": f"<system>\n{_text(message)}\n</system>"}

    def _said(self, message: JsonObject, at: int) -> JsonObject:
        if (tool := self._unknown.get(str(message.get("tool_call_id")))) is not None:
            return {"role": "user", "content": f"[{tool} answered {_text(message)}]"}
        calls = objects_in(message.get("tool_calls"))
        strange = [call for call in calls if not self._is_known(call)]
        if not strange:
            return message
        self._unknown.update({str(each.get("id")): str(_function(each).get("name")) for each in strange})
        names = ", ".join(str(_function(each).get("name")) for each in strange)
        why = f"{self._asker.whose} knows calls of tools that are offered: it is told in words"
        self._losses.append(Loss(f"messages[{at}].tool_calls", names, why))
        words = [f"[{_function(each).get('name')} called with {_function(each).get('arguments')}]" for each in strange]
        told: JsonObject = {**message, "content": "\n".join(filter(None, [_text(message), *words]))}
        told["tool_calls"] = [each for each in calls if each not in strange]
        if not told["tool_calls"]:
            del told["tool_calls"]
        return told

    def _is_known(self, call: JsonObject) -> bool:
        function = _function(call)
        try:
            arguments = msgspec.json.decode(str(function.get("arguments") or "{}"))
        except msgspec.DecodeError:
            return False
        return function.get("name") in self._offered and isinstance(arguments, dict)


def _named(body: JsonObject, asker: _Asker) -> NameMap:
    """Under the names by which the model knows them, in place."""
    functions = [_function(each) for each in objects_in(body.get("tools"))]
    legal = NameMap.within(
        (str(each.get("name")) for each in functions), legal=_LEGAL, length_max=_NAME_CHARS_MAX - len(asker.prefix)
    )
    sent = {str(each.get("name")): asker.prefix + legal.to_upstream(str(each.get("name"))) for each in functions}
    calls = [call for each in objects_in(body.get("messages")) for call in objects_in(each.get("tool_calls"))]
    chosen = body.get("tool_choice")
    for use in [*functions, *map(_function, calls), *([_function(chosen)] if isinstance(chosen, dict) else [])]:
        if "name" in use:
            use["name"] = sent.get(str(use["name"]), use["name"])
    return NameMap(sent, {theirs: ours for ours, theirs in sent.items()})


def _text(message: JsonObject) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else "".join(str(part.get("text") or "") for part in objects_in(content))


def _function(holder: JsonObject) -> JsonObject:
    function = holder.get("function")
    return function if isinstance(function, dict) else {}
