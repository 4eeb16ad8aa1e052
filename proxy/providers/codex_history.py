"""A history as Codex takes it in: item by item as it is, but for what its list of items does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.residue import JsonObject, JsonValue

_KINDS = frozenset(
    {
        "message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
        "web_search_call", "image_generation_call", "compaction",
    }
)  # fmt: skip
_CALLS = frozenset({"function_call", "custom_tool_call"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})
UNKNOWN = "Codex knows no such item"
_DATA = "data:"


def instruction(text: str) -> JsonObject:
    return {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}


def cut_history(body: JsonObject, names: NameMap, losses: list[Loss]) -> None:
    """In place. Raises `Untranslatable`."""
    items = body.get("input")
    if not isinstance(items, list):
        return
    told = [(item, f"input[{at}]") for at, item in enumerate(items) if isinstance(item, dict)]
    _note_pairs(told, losses)
    body["input"] = [kept for item, path in told for kept in _cut(item, path, names, losses)]


def _note_pairs(told: list[tuple[JsonObject, str]], losses: list[Loss]) -> None:
    asked = {item.get("call_id") for item, _ in told if item.get("type") in _CALLS}
    answered = {item.get("call_id") for item, _ in told if item.get("type") in _RESULTS}
    for item, path in told:
        if item.get("type") in _RESULTS and item.get("call_id") not in asked:
            losses.append(Loss(path, "result", "no call in the history asked for it"))
        if item.get("type") in _CALLS and item.get("call_id") not in answered:
            losses.append(Loss(path, "open call", "Codex answers it with `aborted`"))


def _cut(item: JsonObject, path: str, names: NameMap, losses: list[Loss]) -> Iterator[JsonObject]:
    kind = str(item.get("type", "message"))
    if kind == "item_reference":
        raise Untranslatable(
            f"{path}: Codex asks for nothing that the server keeps; send the item itself, or ask an API key", path=path
        )
    if kind not in _KINDS:
        losses.append(Loss(path, kind, UNKNOWN))
    elif kind == "reasoning" and not item.get("encrypted_content"):
        losses.append(Loss(path, kind, "it came without its encrypted form, which alone can be read again"))
    elif kind == "function_call":
        yield {**item, "name": names.to_upstream(str(item.get("name")))}
    elif kind == "message":
        yield {**item, "content": _parts(item.get("content"), f"{path}.content", losses)}
    elif kind in _RESULTS:
        yield {**item, "output": _parts(item.get("output"), f"{path}.output", losses)}
    else:
        yield item


def _parts(value: JsonValue, path: str, losses: list[Loss]) -> JsonValue:
    if not isinstance(value, list):
        return value
    return [
        _PARTS.get(str(part.get("type")), _as_it_is)(part, f"{path}[{at}]", losses)
        for at, part in enumerate(value)
        if isinstance(part, dict)
    ]


def _as_it_is(part: JsonObject, _path: str, _losses: list[Loss]) -> JsonObject:
    return {key: value for key, value in part.items() if key != "prompt_cache_breakpoint"}


def _image(part: JsonObject, path: str, losses: list[Loss]) -> JsonObject:
    url = part.get("image_url")
    if isinstance(url, str) and not url.startswith(_DATA):
        return _left_out("image", "the model fetches no addresses", path, losses)
    kept = _as_it_is(part, path, losses)
    if part.get("detail") in {"low", "original"}:
        losses.append(
            Loss(f"{path}.detail", f"detail {kept.pop('detail')}", "Codex shows an image in the usual detail")
        )
    return kept


def _file(_part: JsonObject, path: str, losses: list[Loss]) -> JsonObject:
    return _left_out("document", "Codex passes on no files", path, losses)


def _refusal(part: JsonObject, path: str, losses: list[Loss]) -> JsonObject:
    losses.append(Loss(path, "refusal", "it is told as text"))
    return {"type": "output_text", "text": part.get("refusal")}


def _left_out(what: str, why: str, path: str, losses: list[Loss]) -> JsonObject:
    """A line in its place tells the model so."""
    losses.append(Loss(path, what, why))
    return {"type": "input_text", "text": f"[{what} left out: {why}]"}


_PARTS: Mapping[str, Callable[[JsonObject, str, list[Loss]], JsonObject]] = {
    "input_image": _image,
    "input_file": _file,
    "refusal": _refusal,
}
