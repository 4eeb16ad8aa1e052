"""What a client asks: parse and render.

At home (the client spoke this wire, too) a request is rendered as it came, where the profile allows; another wire's
history is put into this one's grammar first (`turns`).
"""

from __future__ import annotations

from proxy.errors import Malformed
from proxy.hub.pairing import FILLER
from proxy.hub.parts import Media, Opaque
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.anthropic.messages import parse_content, parse_messages
from proxy.wire.anthropic.parts import BREAKPOINTS_MAX, PartWriter
from proxy.wire.anthropic.settings import SettingsWriter, merge, parse_hints, parse_output, parse_sampling, take_list
from proxy.wire.anthropic.thinking import Plan, fit, fit_effort, parse_reasoning, plan
from proxy.wire.anthropic.tools import ToolWriter, names_within, parse_tool, parse_tool_choice
from proxy.wire.anthropic.turns import CONTINUE, Turn, foreign_turns, home_turns
from proxy.wire.base import RenderedRequest, refuse_foreign_state
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape

NOT_COUNTED = frozenset({
    "max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier", "container",
    "inference_geo", "diagnostics", "fallbacks", "fallback_credit_token", "thread",
})  # fmt: skip
"""What a count request does not take: none of it changes the prompt."""


def parse_request(body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
    fields = Fields(body, wire=NAME)
    name = fields.take_str("model") or model or fields.need_str("model")
    shape: JsonObject = {key: True for key in ("output_config", "stream") if fields.peek(key) is not None}
    system = None if fields.peek("system") == [] else fields.take("system")
    if isinstance(system, str):
        shape["system"] = "string"
    told_stream = fields.take_bool("stream")
    output_config = fields.take_fields("output_config")
    reasoning = parse_reasoning(fields, output_config)
    output = parse_output(fields, output_config)
    if output_config is not None and (left := output_config.residue()) is not None:
        fields.give_back("output_config", dict(left.fields))
    messages = fields.need_list("messages")
    if not messages:
        raise Malformed("messages must hold at least one message", path="messages")
    instructions = () if system is None else parse_content(system, "system", "system")
    tools = tuple(parse_tool(tool, f"tools[{index}]") for index, tool in enumerate(take_list(fields, "tools")))
    tool_choice = parse_tool_choice(fields.take_fields("tool_choice"))
    sampling = parse_sampling(fields)
    hints = parse_hints(fields)
    state = _parse_state(fields)
    rest = fields.residue()
    return Request(
        model=name,
        instructions=instructions,
        messages=tuple(parse_messages(messages)),
        tools=tools,
        tool_choice=tool_choice,
        sampling=sampling,
        reasoning=reasoning,
        output=output,
        hints=hints,
        is_stream=bool(told_stream) if is_stream is None else is_stream,
        state=state,
        residue=Residue(wire=NAME, fields=rest.fields if rest else {}, shape=shape),
    )


def _parse_state(fields: Fields) -> tuple[Opaque, ...]:
    """A thread that goes on: its earlier turns lie at the provider's."""
    thread = fields.peek("thread")
    if not isinstance(thread, dict) or thread.get("type") != "continue":
        return ()
    return (Opaque(wire=NAME, kind="thread", value=fields.take("thread")),)


def render_request(request: Request, profile: Profile) -> RenderedRequest:
    return _RequestWriter(request, profile).write()


def render_count_request(request: Request, profile: Profile) -> RenderedRequest:
    rendered = render_request(request, profile)
    body = {key: value for key, value in rendered.body.items() if key not in NOT_COUNTED}
    return RenderedRequest(body, rendered.losses, rendered.names)


class _RequestWriter:
    """One request on its way to an upstream."""

    def __init__(self, request: Request, profile: Profile) -> None:
        self._request = request
        self._profile = profile
        self._is_home = request.residue is not None and request.residue.wire == NAME
        self._names = names_within(request)
        self._parts = PartWriter(profile, self._names, is_home=self._is_home)
        self._tools = ToolWriter(profile, self._names, self._parts, is_home=self._is_home)
        self._settings = SettingsWriter(request, profile, self._parts, is_home=self._is_home)
        self._losses = self._parts.losses
        self._lose = self._parts.lose
        self._body: JsonObject = {"model": request.model}

    def write(self) -> RenderedRequest:
        """Tools, system, messages: the order of the cached prefix is the order of the cache marks."""
        request, body = self._request, self._body
        refuse_foreign_state(request, NAME)
        self._losses.extend(residue_losses(request.residue, NAME))
        tools = self._tools.write_all(request)
        system = self._system()
        messages = self._messages()
        self._settings.write_sampling(body)
        choice = self._tools.write_choice(request.tool_choice, tools)
        self._think(messages, choice)
        if system or residue_shape(request.residue, NAME, "system"):
            body["system"] = system
        body["messages"] = list(messages)
        if tools:
            body["tools"] = tools
        if choice is not None:
            body["tool_choice"] = choice
        self._settings.write_output(body)
        self._settings.write_hints(body)
        if request.is_stream or residue_shape(request.residue, NAME, "stream"):
            body["stream"] = request.is_stream
        self._residue()
        is_automatic = isinstance(body.get("cache_control"), dict)
        self._parts.limit_marks(BREAKPOINTS_MAX - is_automatic)
        return RenderedRequest(body, tuple(self._losses), self._names)

    def _system(self) -> JsonValue:
        blocks: list[JsonValue] = []
        for index, part in enumerate(self._request.instructions):
            path = f"instructions[{index}]"
            if isinstance(part, Media):
                self._lose(path, part.kind, "this wire's system prompt is text")
            elif (block := self._parts.write(part, path)) is not None:
                blocks.append(block)
        instruction = self._settings.output_instruction()
        if instruction is not None:
            blocks.append({"type": "text", "text": instruction})
        match blocks:
            case [{"type": "text", "text": str(text), **extra}] if not extra and self._writes_string():
                return text
            case _:
                return blocks

    def _writes_string(self) -> bool:
        return not self._is_home or residue_shape(self._request.residue, NAME, "system") == "string"

    def _messages(self) -> list[JsonObject]:
        make = home_turns if self._is_home else foreign_turns
        turns = make(self._request.messages, self._losses, has_mid_system=self._profile.has_mid_system)
        messages = [message for turn in turns if (message := self._message(turn)) is not None]
        if not self._is_home and (not messages or messages[0]["role"] != "user"):
            messages.insert(0, {"role": "user", "content": FILLER})
        last = messages[-1] if messages else None
        if last is not None and last["role"] == "assistant":
            self._prefill(messages, last)
        return messages

    def _message(self, turn: Turn) -> JsonObject | None:
        """None: nothing of it was left to say."""
        blocks: list[JsonValue] = []
        for path, part in turn.parts:
            if isinstance(part, Media) and turn.role == "assistant" and not self._is_home:
                blocks.append(self._parts.leave_out(part, path, "an assistant's turn holds none in this wire"))
            elif (block := self._parts.write(part, path)) is not None:
                blocks.append(block)
        shape = residue_shape(turn.residue, NAME, "content")
        if not blocks and (turn.parts or not self._is_home):
            return None
        message: JsonObject = {"role": turn.role, "content": blocks}
        match blocks:
            case [{"type": "text", "text": str(text), **extra}] if not extra and (
                shape == "string" or not self._is_home
            ):
                message["content"] = text
        if shape == "absent":
            del message["content"]
        return {**message, **residue_fields(turn.residue, NAME)}

    def _prefill(self, messages: list[JsonObject], last: JsonObject) -> None:
        """The assistant's turn stands last: the model is to go on from there."""
        content = last["content"]
        if not self._profile.has_prefill:
            self._lose(
                f"messages[{len(self._request.messages) - 1}]",
                "prefill",
                "this model answers the user only: it is asked to go on",
            )
            messages.append({"role": "user", "content": CONTINUE})
        elif not self._is_home and isinstance(content, str):
            last["content"] = content.rstrip()
        elif not self._is_home and isinstance(content, list):
            block = content[-1]
            if isinstance(block, dict) and isinstance(text := block.get("text"), str):
                block["text"] = text.rstrip()

    def _think(self, messages: list[JsonObject], choice: JsonObject | None) -> None:
        """Thinking, and what cannot be had together with it."""
        chosen = plan(self._request.reasoning, self._profile, self._losses)
        if chosen.is_on:
            self._reconcile(chosen, messages, choice)
        if chosen.is_on:
            self._settings.drop_for_thinking(self._body)
        self._settings.choose_sampler(self._body)
        max_tokens = self._body["max_tokens"]
        if isinstance(max_tokens, int):
            is_asked = self._request.sampling.max_output_tokens is not None
            self._body["max_tokens"] = fit(chosen, max_tokens, self._profile, is_asked=is_asked, losses=self._losses)
        if chosen.thinking is not None:
            self._body["thinking"] = chosen.thinking
        if chosen.effort is not None:
            merge(self._body, "output_config", {"effort": chosen.effort})

    def _reconcile(self, chosen: Plan, messages: list[JsonObject], choice: JsonObject | None) -> None:
        is_free = self._profile.can_stop_thinking and not self._profile.must_think_adaptively
        if choice is not None and choice["type"] in {"any", "tool"} and is_free:
            chosen.turn_off()
            self._lose("reasoning", "thinking", "not together with a forced tool choice")
        elif choice is not None and choice["type"] in {"any", "tool"}:
            self._lose("tool_choice", f"tool choice {choice['type']}", "this model thinks, and cannot be forced then")
            choice["type"] = "auto"
            choice.pop("name", None)
        if chosen.budget_tokens is not None and _goes_on_without_thinking(messages):
            chosen.turn_off()
            self._lose("reasoning", "thinking", "the turn that goes on does not begin with signed thinking")

    def _residue(self) -> None:
        """The client's other fields, at home."""
        body = self._body
        body.update({thing.kind: thing.value for thing in self._request.state})
        shape = residue_shape(self._request.residue, NAME, "output_config")
        for key, value in residue_fields(self._request.residue, NAME).items():
            if isinstance(value, dict) and isinstance(body.get(key), dict):
                merge(body, key, value)
            else:
                body[key] = value
        if shape and "output_config" not in body:
            body["output_config"] = {}
        config = body.get("output_config")
        if isinstance(config, dict) and "effort" in config:
            body["output_config"] = fit_effort(config, self._profile, self._losses)
        self._drop_thinking_edits()

    def _drop_thinking_edits(self) -> None:
        """Context management that clears thinking is refused where there is none."""
        thinking, management = self._body.get("thinking"), self._body.get("context_management")
        if isinstance(thinking, dict) and thinking.get("type") != "disabled":
            return
        edits = management.get("edits") if isinstance(management, dict) else None
        if not isinstance(management, dict) or not isinstance(edits, list):
            return
        kept = [
            edit
            for edit in edits
            if not (isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking"))
        ]
        if len(kept) == len(edits):
            return
        self._lose("context_management.edits", "clear_thinking", "there is no thinking to clear")
        if kept:
            self._body["context_management"] = {**management, "edits": kept}
        else:
            del self._body["context_management"]


def _goes_on_without_thinking(messages: list[JsonObject]) -> bool:
    """The assistant's turn is not over (a prefill, or calls whose results come now), and began without thinking.

    With a budget that is refused; an adaptive model does not mind.
    """
    begun: JsonObject | None = None
    for message in reversed(messages):
        if message["role"] == "assistant":
            begun = message
        elif not _is_results(message):
            break
    if begun is None:
        return False
    content = begun.get("content")
    first = content[0] if isinstance(content, list) and content else None
    return not isinstance(first, dict) or first.get("type") not in {"thinking", "redacted_thinking"}


def _is_results(message: JsonObject) -> bool:
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    return any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)
