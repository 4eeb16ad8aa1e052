"""What other wires' histories become."""

from __future__ import annotations

from dataclasses import replace

from proxy.hub.pairing import FILLER, STUB
from proxy.hub.parts import CacheMark, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request, Role
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.told import ABLE, MAKER

USER = Message(role="user", parts=(Text(text="hi"),))
SAID_HI: JsonObject = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


def written(*messages: Message, profile: Profile = ABLE, **more: object) -> tuple[list[JsonValue], list[str]]:
    """The items, and the paths of the losses."""
    rendered = WIRE.render_request(replace(Request(model="m", messages=messages), **more), profile)
    items = rendered.body["input"]
    assert isinstance(items, list)
    return items, [loss.path for loss in rendered.losses]


def turn(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def call(call_id: str, **more: object) -> ToolCall:
    return replace(ToolCall(id=call_id, name="f"), **more)


def result(call_id: str, *parts: Text | Media | Opaque, **more: object) -> ToolResult:
    return replace(ToolResult(call_id=call_id, parts=parts), **more)


def test_one_system_prompt_is_the_field() -> None:
    body = WIRE.render_request(Request(model="m", instructions=(Text(text="be short"),)), ABLE).body
    assert body["instructions"] == "be short"
    assert body["input"] == [{"type": "message", "role": "user", "content": FILLER}]


def test_system_prompts_with_marks_are_what_the_developer_says() -> None:
    prompt = (Text(text="be short", cache=CacheMark("1h")),)
    items, losses = written(USER, instructions=prompt)
    text: JsonObject = {
        "type": "input_text",
        "text": "be short",
        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
    }
    assert items == [{"type": "message", "role": "developer", "content": [text]}, SAID_HI]
    assert losses == []


def test_a_model_without_marks_or_developers() -> None:
    profile = replace(ABLE, has_cache_marks=False, has_developer_role=False)
    marked = turn("user", Text(text="hi", cache=CacheMark("5m")))
    items, losses = written(marked, turn("system", Text(text="hurry")), profile=profile)
    assert items == [
        SAID_HI,
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "hurry"}]},
    ]
    assert losses == ["messages[0].content[0].cache_control"]


def test_at_most_four_marks() -> None:
    texts = [Text(text=str(n), cache=CacheMark()) for n in range(6)]
    items, losses = written(turn("user", *texts), turn("assistant", Text(text="x", cache=CacheMark())), USER)
    assert str(items).count("prompt_cache_breakpoint") == 4
    assert losses == [
        "messages[0].content[4].cache_control",
        "messages[0].content[5].cache_control",
        "messages[1].content[0].cache_control",
    ]


def test_empty_texts_are_left_out() -> None:
    """Bugs 21 and 32: an empty message beside calls, or instead of thoughts, is none."""
    items, losses = written(
        turn("user", Text(text=""), Text(text=" ")),
        turn("assistant", Text(text=""), call("c")),
        turn("tool", result("c")),
    )
    assert items == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": " "}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]
    assert losses == []


def test_what_an_assistant_cannot_say_here() -> None:
    foreign = Opaque(wire="anthropic", kind="server_tool_use", value={})
    image = Media(kind="image", data="AA==")
    items, losses = written(USER, turn("assistant", Refusal(text="no"), image, foreign), USER)
    assert items[1] == {"type": "message", "role": "assistant", "content": "no"}
    assert losses == [f"messages[1].content[{n}]" for n in range(3)]


def test_an_answer_that_was_begun_is_told() -> None:
    _, losses = written(USER, turn("assistant", Text(text="Once upon")))
    assert losses == ["messages[1]"]


def test_images_and_files() -> None:
    items, losses = written(
        turn(
            "user",
            Media(kind="image", media_type="image/png", data="AA=="),
            Media(kind="image", url="https://x/y.png", detail="low"),
            Media(kind="document", media_type="application/pdf", data="AA=="),
            Media(kind="image", file_id="file-1", origin=MAKER),
        )
    )
    assert items == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
                {
                    "type": "input_file",
                    "file_data": "data:application/pdf;base64,AA==",
                    "filename": "document.pdf",
                },
                {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            ],
        }
    ]
    assert losses == []


def test_media_that_cannot_go_leaves_a_line() -> None:
    profile = replace(ABLE, takes_media_url=False)
    items, losses = written(
        turn(
            "user",
            Media(kind="audio", data="AA=="),
            Media(kind="image", url="https://x/y.png"),
            Media(kind="document", file_id="f", origin="anthropic"),
        ),
        profile=profile,
    )
    assert losses == [f"messages[0].content[{n}]" for n in range(3)]
    assert [text["text"] for text in texts(items[0])] == [
        "[audio left out: the model reads no audio]",
        "[image left out: the model fetches no addresses]",
        "[document left out: the file lies with anthropic]",
    ]


def texts(item: JsonValue) -> list[JsonObject]:
    assert isinstance(item, dict)
    content = item["content"]
    assert isinstance(content, list)
    return [part for part in content if isinstance(part, dict)]


def test_thoughts_go_to_their_maker_only() -> None:
    """Bugs 3 and 4: never as visible text."""
    own = Thinking(sections=("a", "b"), signature="blob", origin=MAKER)
    foreign = Thinking(sections=("secret",), signature="sig", origin="anthropic")
    unsigned = Thinking(sections=("secret",), origin="gemini")
    items, losses = written(USER, turn("assistant", own, foreign, unsigned, Text(text="x")), USER)
    summary: list[JsonValue] = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    assert items[1] == {"type": "reasoning", "summary": summary, "encrypted_content": "blob"}
    assert "secret" not in str(items)
    assert losses == ["messages[1].content[1]", "messages[1].content[2]"]


def test_thoughts_of_this_wire_for_another_maker() -> None:
    item: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"}
    request = WIRE.parse_request({"model": "m", "input": [item]})
    rendered = WIRE.render_request(request, replace(ABLE, maker="xai"))
    assert rendered.body["input"] == []
    assert [loss.path for loss in rendered.losses] == ["messages[0].content[0]"]


def test_custom_calls() -> None:
    patch = call("c", arguments="*** Begin", is_custom=True)
    history = (USER, turn("assistant", patch), turn("tool", result("c", Text(text="ok"))))
    items, _ = written(*history)
    assert items[1:] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
    ]
    items, _ = written(*history, profile=replace(ABLE, has_custom_tools=False))
    assert items[1:] == [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"input":"*** Begin"}'},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
    ]


def test_bug_1_signed_text_stays_text() -> None:
    """Gemini signs calls and visible text; nobody else can read that."""
    text, signed = Text(text="x", signature="sig", origin="gemini"), call("c", signature="sig", origin="gemini")
    items, losses = written(USER, turn("assistant", text, signed), turn("tool", result("c")))
    assert items[1] == {"type": "message", "role": "assistant", "content": "x"}
    assert losses == ["messages[1].content[0].signature", "messages[1].content[1].signature"]


def test_errors_of_tools_are_said() -> None:
    history = turn("assistant", call("a"), call("b"), call("c"))
    results = turn(
        "tool",
        result("a", Text(text="no such file"), is_error=True),
        result("b", Text(text="Error: gone"), is_error=True),
        result("c", is_error=True),
    )
    items, losses = written(USER, history, results)
    assert [item["output"] for item in items[4:] if isinstance(item, dict)] == [
        "Error: no such file",
        "Error: gone",
        "Error: ",
    ]
    assert losses == [f"messages[2].content[{n}].is_error" for n in range(3)]


def test_bug_48_images_stay_with_their_results() -> None:
    image = Media(kind="image", media_type="image/png", data="AA==", detail="auto")
    history = turn("assistant", call("a"), call("b"))
    results = turn("tool", result("a", Text(text="one")), result("b", Text(text="two"), image))
    picture: JsonObject = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
    items, losses = written(USER, history, results)
    assert items[4] == {
        "type": "function_call_output",
        "call_id": "b",
        "output": [{"type": "input_text", "text": "two"}, picture],
    }
    assert losses == []
    items, losses = written(USER, history, results, profile=replace(ABLE, has_media_in_results=False))
    assert [text.get("text", picture) for text in texts(items[5])] == ["[image 1 of the results above]", picture]
    assert losses == ["messages[2].content[1].content[1]"]


def test_bug_27_ids_that_are_too_long_or_illegal() -> None:
    """Calls and results still match."""
    long, odd = "c" * 65, "call|fc 1"
    items, _ = written(USER, turn("assistant", call(long), call(odd)), turn("tool", result(odd), result(long)))
    ids = [item["call_id"] for item in items if isinstance(item, dict) and "call_id" in item]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2
    assert all(len(str(each)) <= 64 and "|" not in str(each) for each in ids)


def test_bug_30_results_come_in_the_order_of_the_calls() -> None:
    items, losses = written(
        USER,
        turn("assistant", call("a"), call("b")),
        turn("user", Text(text="hm")),
        turn("tool", result("b"), result("a")),
    )
    assert [item["type"] for item in items if isinstance(item, dict)] == [
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
    ]
    assert losses == []


def test_bug_31_orphans_doubles_and_calls_without_an_answer() -> None:
    items, losses = written(
        USER,
        turn("assistant", call("a")),
        turn("tool", result("x")),
        USER,
        turn("assistant", call("b")),
        turn("tool", result("b"), result("b", Text(text="again"))),
    )
    outputs = [item["output"] for item in items if isinstance(item, dict) and "output" in item]
    assert outputs == [STUB, ""]
    assert losses == ["messages[2].content[0]", "messages[5].content[1]"]


def test_what_a_client_of_this_wire_sent_is_not_repaired() -> None:
    """Its results may answer calls that the servers keep."""
    body: JsonObject = {
        "model": "m",
        "previous_response_id": "resp_1",
        "input": [{"type": "function_call_output", "call_id": "x", "output": "1"}],
    }
    rendered = WIRE.render_request(WIRE.parse_request(body), ABLE)
    assert (rendered.body, rendered.losses) == (body, ())


def test_what_only_another_wire_knows_is_told() -> None:
    residue = Residue(wire="anthropic", fields={"citations": [1]})
    foreign = Opaque(wire="anthropic", kind="search_result", value={})
    _, losses = written(
        replace(USER, residue=Residue(wire="anthropic", fields={"clear_at": 1})),
        turn("assistant", call("c", residue=residue)),
        turn("tool", result("c", Text(text="x", residue=residue), foreign)),
        turn("user", Text(text="x", residue=residue), Refusal(text="odd")),
    )
    assert losses == [
        "messages[0].clear_at",
        "messages[1].content[0].citations",
        "messages[2].content[0].content[0].citations",
        "messages[2].content[0].content[1]",
        "messages[3].content[0].citations",
        "messages[3].content[1]",
    ]


def test_a_text_document_is_text_here() -> None:
    """As a file it is refused: the API reads PDFs."""
    note = Media(kind="document", media_type="text/plain", data="aGk=", name="n.txt")
    items, losses = written(turn("user", note))
    assert items == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "n.txt:\n\nhi"}]}]
    assert losses == []


def test_the_mark_of_an_image_that_follows_its_result_stays_with_the_result() -> None:
    image = Media(kind="image", media_type="image/png", data="iVBORw0KGgo=", cache=CacheMark("1h"))
    asked = (USER, turn("assistant", call("a")), turn("tool", result("a", image)))
    for has_marks, marked in ((True, 1), (False, 0)):
        profile = replace(ABLE, has_media_in_results=False, has_cache_marks=has_marks)
        items, losses = written(*asked, profile=profile)
        assert str(items).count("prompt_cache_breakpoint") == marked
        assert ("messages[2].content[0].content[0].cache_control" in losses) is not has_marks
