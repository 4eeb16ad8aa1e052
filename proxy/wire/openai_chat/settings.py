"""What a request says beside its messages and tools: sampling, output format, hints; both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.parts import Text
from proxy.hub.profile import Profile
from proxy.hub.request import Hints, OutputFormat, Request, Sampling
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps
from proxy.wire.fields import Fields, residue_losses
from proxy.wire.openai_chat.parts import keep_inner
from proxy.wire.openai_chat.words import NAME, STOPS_MAX, own_fields, own_shape

_Verbosity: TypeAlias = Literal["low", "medium", "high"]
_PLAIN = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
"""Called the same here and in the hub."""
_LIMITS = ("max_completion_tokens", "max_tokens")
_USERS = ("user", "safety_identifier")
_USER_CHARS_MAX = 64
_HINTS: Mapping[str, tuple[str, str]] = {
    "service_tier": ("service_tier", "service_tier"),
    "verbosity": ("verbosity", "verbosity"),
    "cache_key": ("prompt_cache_key", "cache_key"),
}
"""The hub's name: the wire's, and the profile's extra that allows it."""
_KINDS: Mapping[str, Literal["text", "json", "json_schema"]] = {
    "text": "text",
    "json_object": "json",
    "json_schema": "json_schema",
}
_FORMAT_NAME = "response"


def parse_sampling(fields: Fields, shape: JsonObject) -> Sampling:
    limit = None
    for key in _LIMITS:
        if limit is None and (limit := fields.take_int(key)) is not None:
            shape["limit"] = key
    is_logged = fields.take_bool("logprobs")
    top = fields.take_int("top_logprobs") if is_logged else None
    if is_logged is not None:
        shape["logprobs"] = is_logged
    if top is not None:
        shape["top_logprobs"] = top
    return Sampling(
        max_output_tokens=limit,
        temperature=fields.take_number("temperature"),
        top_p=fields.take_number("top_p"),
        top_k=fields.take_int("top_k"),
        stop=_parse_stop(fields, shape),
        seed=fields.take_int("seed"),
        presence_penalty=fields.take_number("presence_penalty"),
        frequency_penalty=fields.take_number("frequency_penalty"),
        candidates=fields.take_int("n"),
        logprobs=(top or 0) if is_logged else None,
    )


def _parse_stop(fields: Fields, shape: JsonObject) -> tuple[str, ...]:
    value = fields.peek("stop")
    if isinstance(value, str) and value:
        shape["stop"] = "string"
        return (fields.need_str("stop"),)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(str(item) for item in fields.need_list("stop"))
    return ()


def parse_output(fields: Fields) -> OutputFormat | None:
    value = fields.peek("response_format")
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    outer = fields.take_fields("response_format")
    inner = outer.take_fields("json_schema") if outer is not None else None
    if outer is None or inner is None:
        if outer is not None:
            outer.take("type")
            keep_inner(fields, "response_format", outer)
        return OutputFormat(kind=_KINDS[kind])
    outer.take("type")
    made = OutputFormat(
        kind=_KINDS[kind],
        schema=inner.take_object("schema"),
        name=inner.take_str("name"),
        description=inner.take_str("description"),
        is_strict=inner.take_bool("strict"),
    )
    return replace(made, residue=inner.residue(is_own=True))


def parse_hints(fields: Fields, shape: JsonObject) -> Hints:
    user = None
    for key in _USERS:
        if user is None and isinstance(fields.peek(key), str):
            user, shape["user"] = fields.take_str(key), key
    metadata = fields.peek("metadata")
    told: dict[str, str] = {}
    if isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values()):
        told = {key: str(value) for key, value in (fields.take_object("metadata") or {}).items()}
        shape["has_metadata"] = True
    return Hints(
        user=user,
        metadata=told,
        service_tier=fields.take_str("service_tier"),
        verbosity=_parse_verbosity(fields),
        cache_key=fields.take_str("prompt_cache_key"),
    )


def _parse_verbosity(fields: Fields) -> _Verbosity | None:
    word = fields.peek("verbosity")
    known: _Verbosity | None = next((each for each in get_args(_Verbosity) if each == word), None)
    if known is not None:
        fields.take("verbosity")
    return known


class SettingsWriter:
    """Writes sampling, output format and hints into `body`."""

    def __init__(self, request: Request, profile: Profile, *, is_home: bool, losses: list[Loss]) -> None:
        self.request = request
        self.profile = profile
        self.losses = losses
        self.shape = own_shape(request.residue)
        self.is_home = is_home
        self.body: JsonObject = {}

    def write(self) -> JsonObject:
        self._sampling(self.request.sampling)
        self._hints(self.request.hints)
        if self.request.output is not None:
            self._output(self.request.output)
        return self.body

    def _lose(self, path: str, what: str, why: str = "the upstream does not take it") -> None:
        self.losses.append(Loss(path, what, why))

    def _sampling(self, sampling: Sampling) -> None:
        self._limit(sampling.max_output_tokens)
        for key in _PLAIN:
            value: float | None = getattr(sampling, key)
            if value is None:
                continue
            if key not in self.profile.sampling:
                self._lose(key, key)
                continue
            if key == "temperature" and value > self.profile.temperature_max:
                self._lose(key, f"temperature {value}", f"the upstream takes {self.profile.temperature_max} at most")
                value = self.profile.temperature_max
            self.body[key] = value
        self._stop(sampling.stop)
        self._candidates(sampling.candidates)
        if sampling.logprobs is not None:
            self._logprobs(sampling.logprobs)
        elif self.shape.get("logprobs") is False:
            self.body["logprobs"] = False

    def _limit(self, tokens: int | None) -> None:
        if tokens is None:
            return
        most = self.profile.max_output_tokens
        if most is not None and tokens > most:
            self._lose("max_tokens", f"max_tokens {tokens}", f"the model writes {most} at most")
            tokens = most
        key = self.shape.get("limit", _LIMITS[0])
        is_new = key == _LIMITS[0] and _LIMITS[0] in self.profile.extras
        self.body[_LIMITS[0] if is_new else _LIMITS[1]] = tokens

    def _stop(self, stop: tuple[str, ...]) -> None:
        if not stop:
            return
        if "stop" not in self.profile.sampling:
            self._lose("stop", "stop sequences")
            return
        if len(stop) > STOPS_MAX:
            self._lose(f"stop[{STOPS_MAX}:]", "stop sequences", f"this wire takes {STOPS_MAX} at most")
        taken: list[JsonValue] = list(stop[:STOPS_MAX])
        self.body["stop"] = taken[0] if self.shape.get("stop") == "string" and len(taken) == 1 else taken

    def _candidates(self, number: int | None) -> None:
        if number is None:
            return
        if self.is_home:
            self.body["n"] = number
        elif number > 1:
            raise Untranslatable(f"n: {number} answers cannot be asked of an upstream of another format", path="n")

    def _logprobs(self, top: int) -> None:
        if "logprobs" not in self.profile.sampling:
            self._lose("logprobs", "logprobs")
            return
        self.body["logprobs"] = True
        if top == 0 and "top_logprobs" not in self.shape:
            return
        if "top_logprobs" in self.profile.extras:
            self.body["top_logprobs"] = top
        else:
            self._lose("top_logprobs", "top_logprobs")

    def _hints(self, hints: Hints) -> None:
        for name, (key, extra) in _HINTS.items():
            value: str | None = getattr(hints, name)
            if value is not None:
                self._hint(key, extra, value)
        if hints.metadata or self.shape.get("has_metadata"):
            self._hint("metadata", "metadata", dict(hints.metadata))
        if hints.user is None:
            return
        if not self.is_home and (len(hints.user) > _USER_CHARS_MAX or hints.user.startswith("{")):
            self._lose("user", "user id", "it is another vendor's, and tells more than who asks")
            return
        self._hint(str(self.shape.get("user", _USERS[0])), "user", hints.user)

    def _hint(self, key: str, extra: str, value: JsonValue) -> None:
        if extra in self.profile.extras:
            self.body[key] = value
        elif value:
            self._lose(key, key)

    def _output(self, output: OutputFormat) -> None:
        self.losses.extend(residue_losses(output.residue, NAME, "response_format"))
        if output.kind != "json_schema":
            have = own_fields(self.request.residue).get("response_format")
            kind = "json_object" if output.kind == "json" else "text"
            if self.is_home or kind != "text":
                self.body["response_format"] = {**(have if isinstance(have, dict) else {}), "type": kind}
            return
        if not self.profile.has_json_schema:
            self._lose("response_format.schema", "output schema", "the model is told in words, and may not obey")
            self.body["response_format"] = {"type": "json_object"}
            return
        inner = own_fields(output.residue)
        if name := self._format_name(output):
            inner["name"] = name
        if output.description is not None:
            inner["description"] = output.description
        if output.schema is not None:
            inner["schema"] = output.schema
        if output.is_strict is not None:
            if self.profile.has_strict_schema:
                inner["strict"] = output.is_strict
            elif output.is_strict:
                self._lose("response_format.strict", "strict schema")
        self.body["response_format"] = {"type": "json_schema", "json_schema": inner}

    def _format_name(self, output: OutputFormat) -> str | None:
        if own_shape(output.residue).get("is_own"):
            return output.name
        if output.name is None:
            return _FORMAT_NAME
        name = re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or _FORMAT_NAME
        if name != output.name:
            self._lose("response_format.name", f"name {output.name}", f"it is written {name} here")
        return name


def with_words(request: Request, profile: Profile, *, is_home: bool) -> Request:
    """JSON that the upstream must be asked for in words: a schema that it does not take, or the bare JSON mode, which
    OpenAI refuses where no message speaks of JSON.
    """
    output = request.output
    if output is None or output.kind == "text":
        return request
    if output.kind == "json_schema" and not profile.has_json_schema:
        schema = dumps(output.schema or {}).decode()
        words = f"Answer with one JSON object, and nothing else, that is valid by this JSON Schema:\n{schema}"
    elif output.kind == "json" and not is_home and not _speaks_of_json(request):
        words = "Answer with one JSON object."
    else:
        return request
    return replace(request, instructions=(*request.instructions, Text(text=words)))


def _speaks_of_json(request: Request) -> bool:
    parts = (*request.instructions, *(part for message in request.messages for part in message.parts))
    return any("json" in part.text.lower() for part in parts if isinstance(part, Text))
