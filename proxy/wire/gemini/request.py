"""What a client asks: `generateContent`, `streamGenerateContent` and `countTokens`."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Malformed, Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.parts import Opaque, Part, Text
from proxy.hub.profile import Profile
from proxy.hub.request import Hints, Request, Tool
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import RenderedRequest, expect_object, refuse_foreign_state
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape
from proxy.wire.gemini.contents import ContentsReader, ContentsWriter
from proxy.wire.gemini.generation import GenerationWriter, parse_generation
from proxy.wire.gemini.part_writer import PartWriter
from proxy.wire.gemini.spelling import canonical, written_back
from proxy.wire.gemini.tools import ToolsWriter, legal_names, parse_tool_config, parse_tools
from proxy.wire.gemini.words import NAME, nested, overlaid

_TIERS: Mapping[str, str] = {"standard": "default", "flex": "flex", "priority": "priority"}
_TIER_WORDS: Mapping[str, str] = {"default": "standard", "flex": "flex", "priority": "priority", "fast": "priority"}
_STATE = ("cachedContent", "continuationToken")
"""What names a part of the conversation that Google's servers keep."""
_OBJECTS = ("systemInstruction", "generationConfig", "toolConfig")
"""Top-level objects that may stand there empty."""


def parse_request(body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
    body = expect_object(body, "")
    spelled = canonical(body)
    inner = spelled.body.get("generateContentRequest")
    shape: JsonObject = {"renamed": spelled.renamed, "single": spelled.single}
    if isinstance(inner, dict):  # countTokens may hold the whole request in there
        shape = {"renamed": _inside(spelled.renamed), "single": _inside(spelled.single)}
    fields = Fields(inner if isinstance(inner, dict) else spelled.body, wire=NAME)
    return _Reader(fields, shape).request(model, is_stream=bool(is_stream))


def _asks_nothing(key: str, value: JsonValue) -> bool:
    """What no other wire need carry: text is what all of them answer, and the switch rules what Gemini alone shows."""
    if key == "generationConfig.responseModalities":
        return isinstance(value, list) and [str(each).upper() for each in value] == ["TEXT"]
    return key == "toolConfig.includeServerSideToolInvocations"


def _inside(paths: list[JsonValue]) -> list[JsonValue]:
    return [path[1:] for path in paths if isinstance(path, list) and len(path) > 1]


class _Reader:
    def __init__(self, fields: Fields, shape: JsonObject) -> None:
        self._fields = fields
        self._shape = shape
        self._contents = ContentsReader()
        self._rest: JsonObject = {}

    def request(self, model: str | None, *, is_stream: bool) -> Request:
        fields, shape = self._fields, self._shape
        shape["empty"] = [key for key in _OBJECTS if fields.peek(key) == {}]
        named = fields.take_str("model")
        if named is not None:
            shape["model"] = named
        name = model or (named or "").removeprefix("models/")
        if not name:
            raise Malformed("model is required: it is part of the URL", path="model")
        instructions = self._instructions()
        messages = tuple(self._contents.read(fields.need_list("contents")))
        listed = fields.take_list("tools")
        tools, shape["tools"] = parse_tools(listed) if listed is not None else ([], None)
        choice, left = parse_tool_config(fields.take_fields("toolConfig"))
        generation = parse_generation(fields.take_fields("generationConfig"))
        self._rest.update({**left, **generation.rest})
        hints = Hints(service_tier=self._tier())
        kept = [Opaque(wire=NAME, kind=key, value=fields.take(key), origin=NAME) for key in _STATE if fields.peek(key)]
        residue = fields.residue(**shape)
        rest = {**(residue.fields if residue is not None else {}), **self._rest}
        shape["plain"] = {key: rest.pop(key) for key in [*rest] if _asks_nothing(key, rest[key])}
        return Request(
            model=name,
            instructions=instructions,
            messages=messages,
            tools=tuple(tools),
            tool_choice=choice,
            sampling=generation.sampling,
            reasoning=generation.reasoning,
            output=generation.output,
            hints=hints,
            is_stream=is_stream,
            state=tuple(kept),
            residue=Residue(wire=NAME, fields=rest, shape=shape),
        )

    def _instructions(self) -> tuple[Part, ...]:
        if isinstance(self._fields.peek("systemInstruction"), str):
            self._shape["system"] = "string"
            return (Text(text=self._fields.take_str("systemInstruction") or ""),)
        content = self._fields.take_fields("systemInstruction")
        if content is None:
            return ()
        self._shape["system"] = "absent" if content.peek("parts") is None else "parts"
        parts = tuple(self._contents.parts(content))
        left = content.residue()
        for key, value in (left.fields if left is not None else {}).items():
            if key == "role":
                self._shape["system_role"] = value
            else:
                self._rest[f"systemInstruction.{key}"] = value
        return parts

    def _tier(self) -> str | None:
        word = self._fields.take_str("serviceTier")
        if word is None:
            return None
        self._shape["tier"] = word
        return _TIERS.get(word.lower(), word)


def render_request(request: Request, profile: Profile) -> RenderedRequest:
    refuse_foreign_state(request, NAME)
    return _Writer(request, profile).rendered()


def render_count_request(request: Request, profile: Profile) -> RenderedRequest:
    """`countTokens` counts tools and instructions only of a whole request, which must name its model."""
    rendered = render_request(request, profile)
    body = {"model": f"models/{request.model.removeprefix('models/')}", **rendered.body}
    return RenderedRequest({"generateContentRequest": body}, rendered.losses, rendered.names)


class _Writer:
    def __init__(self, request: Request, profile: Profile) -> None:
        self._request = request
        self._profile = profile
        self._losses: list[Loss] = []
        self._is_home = request.residue is not None and request.residue.wire == NAME
        self._names = legal_names(request)
        self._parts = PartWriter(profile=profile, losses=self._losses, is_home=self._is_home, names=self._names)

    def rendered(self) -> RenderedRequest:
        request, rest = self._request, residue_fields(self._request.residue, NAME)
        plain = residue_shape(request.residue, NAME, "plain")
        if isinstance(plain, dict):
            rest.update(plain)
        self._losses.extend(residue_losses(request.residue, NAME))
        if (request.sampling.candidates or 1) > 1 and not self._is_home:
            raise Untranslatable("n: several answers at once are not available across formats; ask for one", path="n")
        generation = GenerationWriter(request, self._profile, self._losses, is_home=self._is_home)
        config = generation.written(rest)
        body: JsonObject = {}
        self._instructions(body, generation.instruction)
        body["contents"] = ContentsWriter(
            self._profile, self._parts, self._losses, is_home=self._is_home
        ).written(request.messages)  # fmt: skip
        self._tools(body)
        if config is not None:
            body["generationConfig"] = config
        body.update({thing.kind: thing.value for thing in request.state})
        self._hints(body)
        self._as_it_came(body, rest)
        return RenderedRequest(body, tuple(self._losses), self._names)

    def _instructions(self, body: JsonObject, instruction: str | None) -> None:
        given = enumerate(self._request.instructions)
        written = [self._parts.written(part, f"instructions[{at}]") for at, part in given]
        parts: list[JsonValue] = [part for part in written if part is not None]
        if instruction is not None:
            parts.append({"text": instruction})
        shape = residue_shape(self._request.residue, NAME, "system")
        if shape == "string" and len(parts) == 1 and isinstance(parts[0], dict):
            body["systemInstruction"] = parts[0].get("text")
        elif parts or shape == "parts":
            body["systemInstruction"] = {"parts": parts}
        role = residue_shape(self._request.residue, NAME, "system_role")
        if role is not None and isinstance(body.setdefault("systemInstruction", {}), dict):
            overlaid(body, {"systemInstruction": {"role": role}})

    def _tools(self, body: JsonObject) -> None:
        request = self._request
        writer = ToolsWriter(self._profile, self._names, self._losses, is_home=self._is_home)
        groups = residue_shape(request.residue, NAME, "tools")
        tools = writer.tools(request.tools, groups)
        if tools or groups is not None:
            body["tools"] = tools
        has_functions = any(isinstance(tool, Tool) for tool in request.tools)
        calling = writer.calling_config(request.tool_choice, request.tools)
        config: JsonObject = {} if calling is None else {"functionCallingConfig": calling}
        if has_functions and not self._is_home and any(isinstance(tool, Opaque) for tool in request.tools):
            config["includeServerSideToolInvocations"] = True  # Gemini 3 mixes them only so
        if config:
            body["toolConfig"] = config

    def _hints(self, body: JsonObject) -> None:
        hints = self._request.hints
        tier = residue_shape(self._request.residue, NAME, "tier")
        if tier is not None:
            body["serviceTier"] = tier
        elif hints.service_tier not in {None, "auto"}:
            word = _TIER_WORDS.get(hints.service_tier or "")
            if word is not None and "service_tier" in self._profile.extras:
                body["serviceTier"] = word
            elif hints.service_tier != "default":
                self._lose("service_tier", "service tier", f"this upstream has no tier {hints.service_tier!r}")
        for name, value in (
            ("user", hints.user),
            ("metadata", hints.metadata or None),
            ("verbosity", hints.verbosity),
            ("prompt_cache_key", hints.cache_key),
        ):
            if value is not None:
                self._lose(name, name.replace("_", " "), "gemini has no such field")

    def _as_it_came(self, body: JsonObject, rest: Mapping[str, JsonValue]) -> None:
        """Fields that only this wire knows, and its client's ways of writing."""
        residue = self._request.residue
        if residue is None or not self._is_home:
            return
        overlaid(body, nested({key: value for key, value in rest.items() if not key.startswith("generationConfig.")}))
        empty = residue.shape.get("empty")
        for key in empty if isinstance(empty, list) else ():
            body.setdefault(str(key), {})
        named = residue.shape.get("model")
        if isinstance(named, str):
            body["model"] = ("models/" if named.startswith("models/") else "") + self._request.model
        written_back(body, residue.shape.get("renamed"), residue.shape.get("single"))

    def _lose(self, path: str, what: str, why: str) -> None:
        self._losses.append(Loss(path, what, why))
