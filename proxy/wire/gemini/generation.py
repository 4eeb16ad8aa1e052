"""`generationConfig` ↔ sampling, thinking and the output's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.hub.request import OutputFormat, Reasoning, Request, Sampling, Tool
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps
from proxy.wire.fields import Fields, residue_losses, residue_shape
from proxy.wire.gemini.dialect import as_written, keep_known, take_schema
from proxy.wire.gemini.schema import clean
from proxy.wire.gemini.thinking import parse_thinking, thinking_config
from proxy.wire.gemini.words import NAME, nested

STOPS_MAX = 5
_JSON_TYPE = "application/json"
_KEYS: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Sampling's fields that are one number here, too."""


class Generation(NamedTuple):
    sampling: Sampling
    reasoning: Reasoning | None
    output: OutputFormat | None
    rest: JsonObject
    """For the request's residue, by dotted name."""


def parse_generation(fields: Fields | None) -> Generation:
    if fields is None:
        return Generation(Sampling(), None, None, {})
    sampling = _sampling(fields)
    reasoning = parse_thinking(fields.take_fields("thinkingConfig"))
    output = _output(fields)
    left = fields.residue()
    rest: JsonObject = {f"generationConfig.{key}": value for key, value in left.fields.items()} if left else {}
    return Generation(sampling, reasoning, output, rest)


def _sampling(fields: Fields) -> Sampling:
    stops = fields.take_list("stopSequences")
    if stops is not None and (not stops or not all(isinstance(stop, str) for stop in stops)):
        fields.give_back("stopSequences", stops)
        stops = None
    logprobs = None
    if fields.peek("responseLogprobs") is True:
        fields.take("responseLogprobs")
        logprobs = fields.take_int("logprobs") or 0
    return Sampling(
        max_output_tokens=fields.take_int("maxOutputTokens"),
        temperature=fields.take_number("temperature"),
        top_p=fields.take_number("topP"),
        top_k=fields.take_int("topK"),
        stop=tuple(stop for stop in stops or () if isinstance(stop, str)),
        seed=fields.take_int("seed"),
        presence_penalty=fields.take_number("presencePenalty"),
        frequency_penalty=fields.take_number("frequencyPenalty"),
        candidates=fields.take_int("candidateCount"),
        logprobs=logprobs,
    )


def _output(fields: Fields) -> OutputFormat | None:
    media_type = fields.take_str("responseMimeType")
    if media_type is not None and media_type not in {_JSON_TYPE, "text/plain"}:
        fields.give_back("responseMimeType", media_type)
        return None
    shape: JsonObject = {"mimeType": media_type}
    schema, written = take_schema(fields, "responseJsonSchema", "responseSchema")
    shape |= written
    if schema is None and media_type is None:
        return None
    residue = Fields({}, wire=NAME).residue(**shape)
    if schema is not None:
        return OutputFormat(kind="json_schema", schema=schema, residue=residue)
    return OutputFormat(kind="json" if media_type == _JSON_TYPE else "text", residue=residue)


class GenerationWriter:
    """`instruction`: what must be said in words because the model takes no schema here."""

    def __init__(self, request: Request, profile: Profile, losses: list[Loss], *, is_home: bool) -> None:
        self._request = request
        self._profile = profile
        self._losses = losses
        self._is_home = is_home
        self.instruction: str | None = None

    def written(self, rest: Mapping[str, JsonValue]) -> JsonObject | None:
        """`rest`: the request's own residue. None: there is nothing to say."""
        body = self._sampling(self._request.sampling)
        thinking = thinking_config(self._request.reasoning, self._profile, self._losses)
        if thinking is not None:
            body["thinkingConfig"] = thinking
        if self._request.output is not None:
            body.update(self._output(self._request.output))
        kept = nested({key: value for key, value in rest.items() if key.startswith("generationConfig")})
        own = kept.get("generationConfig")
        return {**body, **own} if isinstance(own, dict) else body or None

    def _lose(self, path: str, what: str, why: str) -> None:
        self._losses.append(Loss(path, what, why))

    def _sampling(self, sampling: Sampling) -> JsonObject:
        body: JsonObject = {}
        if sampling.max_output_tokens is not None:
            body["maxOutputTokens"] = self._clamped(
                "max_tokens", sampling.max_output_tokens, self._profile.max_output_tokens
            )
        for name, key in _KEYS.items():
            value: float | None = getattr(sampling, name)
            if value is not None and self._takes(name):
                body[key] = self._clamped(name, value, self._profile.temperature_max if name == "temperature" else None)
        if sampling.stop and self._takes("stop"):
            if len(sampling.stop) > STOPS_MAX and not self._is_home:
                self._lose("stop", "stop sequences", f"gemini takes {STOPS_MAX}: the others are left out")
            body["stopSequences"] = [*(sampling.stop if self._is_home else sampling.stop[:STOPS_MAX])]
        if sampling.logprobs is not None and self._takes("logprobs"):
            body["responseLogprobs"] = True
            if sampling.logprobs:
                body["logprobs"] = sampling.logprobs
        if sampling.candidates is not None:
            body["candidateCount"] = sampling.candidates
        return body

    def _takes(self, name: str) -> bool:
        if name in self._profile.sampling:
            return True
        self._lose(name, name, "this model does not take it")
        return False

    def _clamped(self, name: str, value: float, most: float | None) -> float:
        if most is None or value <= most:
            return value
        self._lose(name, name, f"this model takes {most} at most: that instead of {value}")
        return most

    def _output(self, output: OutputFormat) -> JsonObject:
        self._losses.extend(residue_losses(output.residue, NAME, "response_format"))
        media_type = residue_shape(output.residue, NAME, "mimeType")
        if output.kind == "text":
            return {"responseMimeType": media_type} if media_type is not None else {}
        has_functions = any(isinstance(tool, Tool) for tool in self._request.tools)
        if has_functions and not self._profile.mixes_tools:
            self._say(output, "this model takes no JSON format beside functions")
            return {}
        body: JsonObject = {"responseMimeType": _JSON_TYPE}
        if media_type is None and output.residue is not None and output.residue.wire == NAME:
            body = {}
        if output.kind == "json" or output.schema is None:
            return body
        if not self._profile.has_json_schema:
            self._say(output, "this model takes no schema")
            return body
        return {**body, **self._schema(output, output.schema)}

    def _schema(self, output: OutputFormat, schema: JsonObject) -> JsonObject:
        if written := as_written(output.residue, has_full_schema=self._profile.has_full_schema):
            return written
        if not self._profile.has_full_schema:
            cleaned, losses = clean(schema, "response_format.schema")
            self._losses.extend(losses)
            return {"responseSchema": _described(cleaned, output.description)}
        kept, losses = keep_known(schema, "response_format.schema")
        self._losses.extend(losses)
        return {"responseJsonSchema": _described(kept, output.description)}

    def _say(self, output: OutputFormat, why: str) -> None:
        self._lose("response_format", "output format", f"{why}: it is asked for in words")
        self.instruction = "Answer with one JSON value and nothing else."
        if output.schema is not None:
            self.instruction += f" It must match this JSON Schema: {str(dumps(output.schema), 'utf-8')}"


def _described(schema: JsonObject, description: str | None) -> JsonObject:
    return schema if description is None or "description" in schema else {**schema, "description": description}
