"""What a judge is: one official SDK that asks a scenario in its own words, and says what its final object carries."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import anthropic
import msgspec
import openai
import pytest
from google.genai import errors as genai_errors
from pydantic import BaseModel

from proxy.hub.residue import JsonObject
from tests.contract.clients import Clients
from tests.contract.scenarios import Ask, Call, Usage

Words = dict[str, Any]
"""The arguments of an SDK's method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """`finish` and `usage` in the SDK's own words. `parsed`: the SDK's reading of a structured output."""

    model: str | None
    text: str
    thinking: str
    calls: list[Call]
    ids: list[str]
    finish: str
    usage: JsonObject
    parsed: BaseModel | None = None
    final: object = field(default=None, repr=False)


class Judge(ABC):
    """`words` → `ask` → `said`."""

    wire: ClassVar[str]
    finishes: ClassVar[Mapping[str, str]]
    """By kind: ``stop``, ``tool_calls``."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    @abstractmethod
    def words(self, ask: Ask, model: str) -> Words: ...

    @abstractmethod
    async def ask(self, words: Words, *, is_stream: bool) -> Said: ...

    @abstractmethod
    async def break_off(self, words: Words) -> tuple[str, str]:
        """Of a stream that ends with an error: the text that came before, and what the SDK says of the error."""

    @abstractmethod
    async def leave_early(self, words: Words) -> None:
        """Closes the stream after the first text."""

    @abstractmethod
    def usage(self, usage: Usage) -> JsonObject:
        """How this format counts."""

    def finish(self, *, has_calls: bool) -> str:
        return self.finishes["tool_calls" if has_calls else "stop"]


def data_url(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def arguments(text: str) -> JsonObject:
    value: JsonObject = msgspec.json.decode(text)
    return value


def as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def told(counts: Mapping[str, Any]) -> JsonObject:
    """Without zeros, which some say and some leave out, at any depth."""
    said: JsonObject = {}
    for name, value in counts.items():
        inner = told(value) if isinstance(value, dict) else value
        if inner:
            said[name] = inner
    return said


async def until_it_breaks(stream: AsyncIterator[Any], text_of: Callable[[Any], str]) -> tuple[str, Exception]:
    """The text that came, and what the SDK raised then."""
    text = ""
    try:
        async for event in stream:
            text += text_of(event)
    except (openai.APIError, anthropic.APIError, genai_errors.APIError) as error:
        return text, error
    pytest.fail(f"it ended as if nothing had happened, after {text!r}")


async def until_text(stream: AsyncIterator[Any], text_of: Callable[[Any], str]) -> None:
    async for event in stream:
        if text_of(event):
            return
    pytest.fail("it ended without a text")
