"""Two requests compared: what was dropped, added, moved or changed on the way, although no loss speaks of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxy.hub.loss import Loss
from proxy.hub.pairing import STUB
from proxy.hub.parts import Opaque
from tests.laws.essence import Essence, Said, squeezed
from tests.laws.targets import Target

PATHS: dict[str, tuple[str, ...]] = {
    "max_output_tokens": ("max_tokens",),
    "logprobs": ("logprobs", "top_logprobs"),
    "thinking": ("reasoning",),
    "visible": ("reasoning",),
    "output_kind": ("response_format",),
    "output_schema": ("response_format",),
    "output_name": ("response_format",),
    "output_strict": ("response_format",),
    "choice": ("tool_choice",),
    "parallel": ("parallel_tool_calls",),
    "cache_key": ("prompt_cache_key",),
}
"""How a loss may begin that speaks of a setting, where that is not the setting's own name."""

ADDED = (
    "Go on from the exact point where your last message ends. Do not repeat any of it.",
    "Answer with one JSON",
    STUB,
    "Error",
    ".",
)
"""What renderers may say of their own accord: where a turn must stand, or a result."""


class Ledger:
    """The losses of one rendering, asked by path."""

    def __init__(self, losses: Iterable[Loss]) -> None:
        self.losses = tuple(losses)
        self._paths = [loss.path for loss in self.losses]

    def covers(self, path: str) -> bool:
        """Whether one speaks of `path`, of something in it, or of what it stands in (but not of everything)."""
        return any(
            _is_within(told, path) or (_is_within(path, told) and told not in {"", "messages"}) for told in self._paths
        )

    def gives_up(self, path: str) -> bool:
        """Whether one speaks of the whole of what stands at `path`, not just of a field of it."""
        return any(_is_within(path, told) and told not in {"", "messages"} for told in self._paths)

    def names(self, path: str, key: str) -> bool:
        """Whether one speaks of the field `key` at `path`."""
        last = key.rpartition(".")[2]
        return any(
            key in loss.path or key == loss.what or last in loss.path
            for loss in self.losses
            if not path or loss.path.startswith(path.partition(".")[0].partition("[")[0])
        )


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or (inner.startswith(outer) and inner[len(outer)] in ".[:")


def differences(before: Essence, after: Essence, losses: Sequence[Loss], target: Target) -> list[str]:
    """`target`: whom the request was rendered for."""
    ledger = Ledger(losses)
    return [
        *_conversation(before, after, ledger),
        *_results(before, after, ledger),
        *_tools(before, after, ledger, target),
        *_settings(before, after, ledger, target),
        *_marks(before, after, ledger),
        *(
            f"the field {path}.{key} was lost in silence"
            for path, key in before.residues
            if not ledger.names(path, key) and not ledger.covers(path or key)
        ),
        *(
            f"{path} ({opaque.kind}) was lost in silence"
            for path, opaque in before.opaque
            if not ledger.gives_up(path) and not _is_hosted_equal(opaque, after)
        ),
        *(
            f"the thinking at {path} was lost in silence"
            for path, thinking in before.thoughts
            if (thinking.text or thinking.signature)
            and not ledger.covers(path)
            and squeezed(thinking.text) not in "".join(squeezed(other.text) for _, other in after.thoughts)
        ),
    ]


def _is_hosted_equal(opaque: Opaque, after: Essence) -> bool:
    return len(after.opaque) > 0 and opaque.kind != ""


class _Cursor:
    """Finds texts in the other conversation, each behind the one before."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._runs: list[list[object]] = []
        for each in said:
            last = self._runs[-1] if self._runs else None
            if each.kind == "text" and last is not None and last[:2] == [each.role, "text"]:
                last[2] = f"{last[2]}{each.value}"
            else:
                self._runs.append([each.role, each.kind, each.value])
        self._at = 0
        self._offset = 0

    def find(self, each: Said) -> bool:
        offset = self._offset
        for number in range(self._at, len(self._runs)):
            role, kind, value = self._runs[number]
            if role == each.role and kind == each.kind:
                if kind != "text":
                    if value == each.value and not (number == self._at and offset):
                        self._at, self._offset = number, 1
                        return True
                else:
                    found = str(value).find(str(each.value), offset)
                    if found >= 0:
                        self._cut(number, found, len(str(each.value)))
                        return True
            offset = 0
        return False

    def _cut(self, number: int, found: int, length: int) -> None:
        """The text is taken out, so that what is left was added."""
        text = str(self._runs[number][2])
        self._runs[number][2] = text[:found] + text[found + length :]
        self._at, self._offset = number, found

    def take(self, text: str) -> None:
        """Wherever it stands: a thing of which a loss speaks may come back as another's words."""
        for run in self._runs:
            if run[1] == "text" and text in str(run[2]):
                run[2] = str(run[2]).replace(text, "", 1)
                return

    def left(self) -> Iterator[str]:
        for role, kind, value in self._runs:
            if kind == "text" and str(value) and not _is_ours(str(value)):
                yield f"{role} text {value!r}"


def _is_ours(text: str) -> bool:
    """What renderers add, in any number, and the brackets around it."""
    if text.startswith(squeezed("Answer with one JSON")):
        return True
    for ours in ADDED:
        text = text.replace(squeezed(ours), "")
    for mark in ("<system>", "</system>"):
        text = text.replace(mark, "")
    while text.startswith("[") and "]" in text:
        text = text[text.index("]") + 1 :]
    return not text


def _conversation(before: Essence, after: Essence, ledger: Ledger) -> Iterator[str]:
    cursor = _Cursor(after.said)
    lost = []
    for each in before.said:
        if ledger.gives_up(each.path):
            lost.append(each)
        elif not cursor.find(each):
            yield f"{each.path}: {each.role} {each.kind} {str(each.value)[:80]!r} was lost, moved or changed in silence"
    for each in lost:
        if each.kind == "text":
            cursor.take(str(each.value))
    for label in before.labels:
        cursor.take(f"{label}:")
    for result in before.results:  # where results are text only, their files follow them
        if ledger.covers(result.path):
            cursor.take(result.text)
    for text in cursor.left():
        yield f"{text[:120]} was added"
    calls = [sum(each.kind == "call" for each in essence.said) for essence in (before, after)]
    if calls[0] < calls[1]:
        yield f"{calls[1] - calls[0]} calls were added"


def _results(before: Essence, after: Essence, ledger: Ledger) -> Iterator[str]:
    there = {result.call: result for result in after.results}
    for result in before.results:
        other = there.get(result.call)
        if ledger.covers(result.path):
            continue
        if other is None or result.call < 0:
            yield f"{result.path}: the result of call {result.call} was lost in silence"
        elif (sorted(result.text), result.media, result.is_error) != (sorted(other.text), other.media, other.is_error):
            yield f"{result.path}: the result {result[1:4]} became {other[1:4]} in silence"
    answered = {result.call for result in before.results}
    for result in after.results:
        if result.call not in answered and result.text != squeezed(STUB):
            yield f"a result of call {result.call} was added"


def _tools(before: Essence, after: Essence, ledger: Ledger, target: Target) -> Iterator[str]:
    for name, tool in before.tools.items():
        path = before.tool_paths[name]
        other = after.tools.get(name)
        if other is None:
            if not ledger.covers(path) and name in before.allowed:
                yield f"{path}: the tool {name} was lost in silence"
            continue
        for key, value in tool.items():
            if key == "strict" and target.wire.name == "gemini" and after.keeps_to_schemas:
                continue
            if key == "schema" and not target.profile.has_full_schema:
                continue  # Gemini's OpenAPI subset says it in another way
            if value != other[key] and not ledger.covers(f"{path}.{'parameters' if key == 'schema' else key}"):
                yield f"{path}: {key} {value!r} became {other[key]!r} in silence"
    if added := after.tools.keys() - before.tools.keys():
        yield f"the tools {sorted(added)} were added"
    if [name for name in before.tools if name in after.tools] != list(after.tools):
        yield "the order of the tools changed"


def _settings(before: Essence, after: Essence, ledger: Ledger, target: Target) -> Iterator[str]:
    for name, value in before.settings.items():
        other = after.settings[name]
        if _is_demanded(name, before, after, target):
            continue
        if value == other or any(ledger.covers(path) for path in PATHS.get(name, (name,))):
            continue
        yield f"{name} {value!r} became {other!r} in silence"


def _is_demanded(name: str, before: Essence, after: Essence, target: Target) -> bool:
    """What a wire has no choice about: Anthropic's max_tokens, OpenAI's name for a format, and that a format's schema
    is always enforced elsewhere. Chat has no switch for visible thoughts: whoever has any shows them.
    """
    value, other = before.settings[name], after.settings[name]
    match name:
        case "max_output_tokens":
            return value is None and target.wire.name == "anthropic"
        case "output_schema":
            return not target.profile.has_full_schema
        case "thinking":
            return (value == "none" and target.profile.thinking == "none") or (value == "max" and other is not None)
        case "output_name":
            return None in (value, other)
        case "output_strict":
            return None in (value, other) or (not value and not other)
        case "visible" if before.settings["thinking"] == "none":
            return True
        case "visible":
            return target.wire.name == "openai_chat" or target.profile.thinking == "none"
        case _:
            return False


def _marks(before: Essence, after: Essence, ledger: Ledger) -> Iterator[str]:
    silent = [path for path in before.marks if not ledger.covers(path) and not ledger.covers(f"{path}.cache_control")]
    if len(silent) > len(after.marks):
        yield f"of the cache marks at {silent} only {len(after.marks)} arrived"
    if len(after.marks) > len(before.marks):
        yield f"{len(after.marks) - len(before.marks)} cache marks were added"
