"""What stands beside the messages: sampling, structured output, and hints."""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.errors import Malformed, Untranslatable
from proxy.hub.profile import Profile
from proxy.hub.request import Hints, OutputFormat, Request, Sampling
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.anthropic.parts import PartWriter
from proxy.wire.anthropic.schema import output_schema
from proxy.wire.base import dumps
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape

MAX_TOKENS_DEFAULT = 8192
"""Where neither the client nor the profile says how much: the wire wants a number."""
TEMPERATURE_MAX = 1.0
TOP_P_THINKING_MIN = 0.95

_TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
_TIERS_BACK: Mapping[str, tuple[str, str]] = {
    "auto": ("service_tier", "auto"),
    "default": ("service_tier", "standard_only"),
    "fast": ("speed", "fast"),
    "priority": ("speed", "fast"),
}
_CLIENTS_OWN_ID = re.compile(r"\s*\{|.*_session_", re.DOTALL)
"""A user_id that tells of a client's devices and sessions: nobody else's business."""


def take_list(fields: Fields, key: str) -> list[JsonValue]:
    """An empty list stays where it is, to be written again at home."""
    return [] if fields.peek(key) == [] else fields.take_list(key) or []


def parse_sampling(fields: Fields) -> Sampling:
    stop: list[str] = []
    for index, text in enumerate(take_list(fields, "stop_sequences")):
        if not isinstance(text, str):
            path = f"stop_sequences[{index}]"
            raise Malformed(f"{path} must be a string", path=path)
        stop.append(text)
    return Sampling(
        max_output_tokens=fields.take_int("max_tokens"),
        temperature=fields.take_number("temperature"),
        top_p=fields.take_number("top_p"),
        top_k=fields.take_int("top_k"),
        stop=tuple(stop),
    )


def parse_output(fields: Fields, output_config: Fields | None) -> OutputFormat | None:
    """`output_config.format`, or `output_format` as an older beta had it."""
    holder = output_config if output_config is not None and output_config.peek("format") is not None else fields
    key = "output_format" if holder is fields else "format"
    told = holder.peek(key)
    if not isinstance(told, dict) or told.get("type") != "json_schema":
        return None
    output = holder.take_fields(key)
    if output is None:
        return None
    output.take("type")
    schema = output.take_object("schema")
    return OutputFormat(kind="json_schema", schema=schema, residue=output.residue(key=key))


def parse_hints(fields: Fields) -> Hints:
    user: str | None = None
    metadata = fields.take_fields("metadata")
    if metadata is not None:
        told = metadata.peek("user_id")
        if isinstance(told, str) and not _CLIENTS_OWN_ID.match(told):
            user = metadata.take_str("user_id")
        left = metadata.residue()
        if left is not None or user is None:
            fields.give_back("metadata", dict(left.fields) if left else {})
    tier = _TIERS.get(str(fields.peek("service_tier")))
    if tier is not None:
        fields.take("service_tier")
    elif fields.peek("service_tier") is None and fields.peek("speed") == "fast":
        tier = "fast"
        fields.take("speed")
    return Hints(user=user, service_tier=tier)


class SettingsWriter:
    """Writes into `body`; losses go to `writer`."""

    def __init__(self, request: Request, profile: Profile, writer: PartWriter, *, is_home: bool) -> None:
        self._request = request
        self._profile = profile
        self._lose = writer.lose
        self._losses = writer.losses
        self._is_home = is_home

    def write_sampling(self, body: JsonObject) -> None:
        sampling = self._request.sampling
        if (sampling.candidates or 1) > 1:
            what = "n: this model's wire gives one answer a request; ask several times, or choose another model"
            raise Untranslatable(what, path="n")
        body["max_tokens"] = self._max_tokens()
        for name in ("temperature", "top_p", "top_k"):
            value: JsonValue = getattr(sampling, name)
            if value is None:
                continue
            if name not in self._profile.sampling:
                self._lose(name, f"{name} {value}", "this model does not take it")
                continue
            body[name] = value
        self._clamp(body, "temperature", min(TEMPERATURE_MAX, self._profile.temperature_max))
        stop = [text for text in sampling.stop if self._is_home or text.strip()]
        if len(stop) < len(sampling.stop):
            self._lose("stop", "stop sequence", "it must hold more than white space")
        if stop and "stop" in self._profile.sampling:
            body["stop_sequences"] = list(stop)
        elif stop:
            self._lose("stop", "stop sequences", "this model does not take them")
        for name in ("seed", "presence_penalty", "frequency_penalty", "logprobs"):
            if getattr(sampling, name) is not None:
                self._lose(name, name, "this wire has no such setting")

    def _max_tokens(self) -> int:
        asked, most = self._request.sampling.max_output_tokens, self._profile.max_output_tokens
        if asked is None:
            return most or MAX_TOKENS_DEFAULT
        if most is not None and asked > most:
            self._lose("max_tokens", f"{asked} tokens", f"this model writes {most} at most")
            return most
        return asked

    def _clamp(self, body: JsonObject, name: str, most: float) -> None:
        value = body.get(name)
        if isinstance(value, int | float) and value > most:
            body[name] = most
            self._lose(name, f"{name} {value}", f"{most} is the most it takes")

    def drop_for_thinking(self, body: JsonObject) -> None:
        """A thinking model samples as it likes: other settings are refused."""
        is_refused = {
            "temperature": body.get("temperature") not in (None, 1),
            "top_k": body.get("top_k") is not None,
            "top_p": isinstance(top_p := body.get("top_p"), int | float) and top_p < TOP_P_THINKING_MIN,
        }
        for name in (name for name, is_so in is_refused.items() if is_so):
            self._lose(name, f"{name} {body.pop(name)}", "not together with thinking")

    def choose_sampler(self, body: JsonObject) -> None:
        """Of `temperature` and `top_p` one, where the model takes no more: the temperature, unless it says nothing."""
        if self._profile.mixes_sampling or "temperature" not in body or "top_p" not in body:
            return
        name, other = ("temperature", "top_p") if body["temperature"] == 1 else ("top_p", "temperature")
        self._lose(name, f"{name} {body.pop(name)}", f"this model takes no {other} beside it")

    def write_output(self, body: JsonObject) -> None:
        output = self._request.output
        if output is None:
            return
        self._losses.extend(residue_losses(output.residue, NAME, "response_format"))
        if output.kind != "json_schema" or not self._profile.has_json_schema:
            return
        if output.is_strict is False:
            self._lose("response_format.strict", "a schema that is not enforced", "here it always is")
        schema = output.schema or {"type": "object"}
        if not self._is_home:
            schema = output_schema(schema, "response_format.schema", self._losses)
            if output.description is not None:  # has no place beside the schema here
                schema = {"description": output.description, **schema}
        form: JsonObject = {"type": "json_schema", "schema": schema, **residue_fields(output.residue, NAME)}
        if residue_shape(output.residue, NAME, "key") == "output_format":
            body["output_format"] = form
        else:
            merge(body, "output_config", {"format": form})

    def output_instruction(self) -> str | None:
        """For the end of the system text, where JSON cannot be asked for otherwise."""
        output = self._request.output
        if output is None or output.kind == "text" or (output.kind == "json_schema" and self._profile.has_json_schema):
            return None
        self._lose("response_format", f"enforced {output.kind}", "this model is told so in its instructions")
        text = "Answer with one JSON value and nothing else: no prose, no code fence."
        if output.schema is not None:
            text += f" It must match this JSON Schema: {dumps(output.schema).decode()}"
        return text

    def write_hints(self, body: JsonObject) -> None:
        hints = self._request.hints
        if hints.user is not None and "@" in hints.user:
            self._lose("user", "user", "an id must not tell who it is, and this one looks like an address")
        elif hints.user is not None:
            merge(body, "metadata", {"user_id": hints.user})
        for key in hints.metadata:
            self._lose(f"metadata.{key}", key, "this wire takes no metadata but a user's id")
        self._write_tier(body, hints.service_tier)
        if hints.verbosity is not None:
            self._lose("verbosity", f"verbosity {hints.verbosity}", "this wire has no such setting")
        if hints.cache_key is not None:
            self._lose("prompt_cache_key", "cache key", "this wire caches by prefix alone")

    def _write_tier(self, body: JsonObject, tier: str | None) -> None:
        if tier is None:
            return
        key, value = _TIERS_BACK.get(tier, ("", ""))
        if key == "service_tier" or (key == "speed" and "speed" in self._profile.extras):
            body[key] = value
        else:
            self._lose("service_tier", f"tier {tier}", "this model has none like it")


def merge(body: JsonObject, key: str, more: JsonObject) -> None:
    present = body.get(key)
    body[key] = {**present, **more} if isinstance(present, dict) else more
