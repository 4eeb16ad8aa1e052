from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.names import tag
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, Request
from proxy.hub.residue import Residue
from proxy.wire.gemini import WIRE
from proxy.wire.gemini.words import BYPASS, sealed
from tests.proxy.wire.gemini.exchanges import asked, upstream, user


def read(*contents: dict[str, Any]) -> tuple[Message, ...]:
    return WIRE.parse_request({"contents": list(contents)}, model="m").messages


def model(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def client(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def call(name: str, /, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args}}


def result(name: str, output: Any, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"output": output}, **more}}


def asks(*calls: ToolCall) -> Message:
    return Message(role="assistant", parts=calls)


def answers(*results: ToolResult) -> Message:
    return Message(role="tool", parts=results)


def written(*messages: Message, **profile: Any) -> Any:
    return WIRE.render_request(asked(*messages), upstream(**profile)).body["contents"]


class TestIds:
    def test_bug_28_missing_ids_are_made_the_same_each_time_and_unique_per_call(self) -> None:
        contents = [
            client({"text": "hi"}), model(call("f", a=1), call("f", a=1)), client(result("f", "x"), result("f", "y")),
            model(call("f", a=1)), client(result("f", "z")),
        ]  # fmt: skip
        first, second = read(*contents), read(*contents)
        ids = [part.id for message in first for part in message.parts if isinstance(part, ToolCall)]
        assert len(set(ids)) == 3
        assert first == second

    def test_results_find_their_calls_by_name_and_order(self) -> None:
        messages = read(
            model(call("f"), call("g"), call("f")), client(result("g", "1"), result("f", "2"), result("f", "3"))
        )
        f1, g, f2 = (part.id for part in messages[0].parts if isinstance(part, ToolCall))
        assert [part.call_id for part in messages[1].parts if isinstance(part, ToolResult)] == [g, f1, f2]

    def test_bug_28_two_calls_of_one_tool_do_not_collide(self) -> None:
        """5.1: an id made of the name only crossed the results over."""
        messages = read(model(call("f", q=1), call("f", q=2)), client(result("f", "one"), result("f", "two")))
        bare = [
            Message(role=each.role, parts=tuple(replace(part, residue=None) for part in each.parts))
            for each in messages
        ]
        rendered = written(*bare)
        ids = [part["functionCall"]["id"] for part in rendered[1]["parts"]]
        assert len(set(ids)) == 2
        assert [part["functionResponse"]["id"] for part in rendered[2]["parts"]] == ids
        assert [part["functionResponse"]["response"] for part in rendered[2]["parts"]] == [
            {"result": "one"}, {"result": "two"},
        ]  # fmt: skip

    def test_given_ids_stay(self) -> None:
        messages = read(
            model({"functionCall": {"name": "f", "id": "b"}}, {"functionCall": {"name": "f", "id": "a"}}),
            client(result("f", "1", id="a"), result("f", "2", id="b")),
        )
        assert [part.call_id for part in messages[1].parts if isinstance(part, ToolResult)] == ["a", "b"]

    def test_an_id_that_only_the_result_has_is_brought_to_the_calls(self) -> None:
        contents = [model(call("f")), client(result("f", "1", id="made-by-an-sdk"))]
        messages = read(*contents)
        asked_part, answer = messages[0].parts[0], messages[1].parts[0]
        assert isinstance(asked_part, ToolCall)
        assert isinstance(answer, ToolResult)
        assert answer.call_id == asked_part.id

    def test_bug_29_a_result_without_a_name_takes_its_calls(self) -> None:
        messages = read(model(call("f")), client({"functionResponse": {"response": {"output": "x"}}}))
        assert messages[1].parts[0].name == "f"
        contents = written(user("x"), asks(ToolCall(id="1", name="f")), answers(ToolResult(call_id="1", name="")))
        assert contents[2]["parts"][0]["functionResponse"]["name"] == "f"

    def test_bug_37_ids_go_only_to_upstreams_that_take_them(self) -> None:
        turns = (user("x"), asks(ToolCall(id="1", name="f")), answers(ToolResult(call_id="1")))
        assert "id" in written(*turns)[1]["parts"][0]["functionCall"]
        contents = written(*turns, has_call_ids=False)
        assert contents[1]["parts"][0]["functionCall"] == {"name": "f", "args": {}}
        assert "id" not in contents[2]["parts"][0]["functionResponse"]

    def test_bug_27_other_wires_ids_are_legal_as_they_are(self) -> None:
        turns = (user("x"), asks(ToolCall(id="toolu_01/|é", name="f")), answers(ToolResult(call_id="toolu_01/|é")))
        contents = written(*turns)
        assert contents[1]["parts"][0]["functionCall"]["id"] == contents[2]["parts"][0]["functionResponse"]["id"]


class TestTurns:
    def test_results_and_text_in_one_content(self) -> None:
        contents = [model(call("f")), client({"text": "a"}, result("f", "x"), {"text": "b"})]
        messages = read(*contents)
        assert [message.role for message in messages] == ["assistant", "user", "tool", "user"]
        assert WIRE.render_request(
            WIRE.parse_request({"contents": contents}, model="m"), upstream()
        ).body == {"contents": contents}  # fmt: skip

    def test_bug_30_results_follow_their_calls_in_call_order(self) -> None:
        contents = written(
            user("x"), asks(ToolCall(id="1", name="f"), ToolCall(id="2", name="g")), user("meanwhile"),
            answers(ToolResult(call_id="2", parts=(Text(text="b"),))),
            answers(ToolResult(call_id="1", parts=(Text(text="a"),))),
        )  # fmt: skip
        assert [part["functionResponse"]["response"] for part in contents[2]["parts"]] == [
            {"result": "a"},
            {"result": "b"},
        ]
        assert contents[3] == {"role": "user", "parts": [{"text": "meanwhile"}]}

    def test_bug_31_orphans_and_doubles_are_dropped_and_gaps_filled(self) -> None:
        request = asked(
            user("x"), asks(ToolCall(id="1", name="f"), ToolCall(id="2", name="g")),
            answers(ToolResult(call_id="1", parts=(Text(text="a"),)),
                    ToolResult(call_id="1", parts=(Text(text="again"),)),
                    ToolResult(call_id="9", parts=(Text(text="?"),))),
        )  # fmt: skip
        rendered = WIRE.render_request(request, upstream())
        contents: Any = rendered.body["contents"]
        assert [part["functionResponse"]["name"] for part in contents[2]["parts"]] == ["f", "g"]
        assert [loss.path for loss in rendered.losses] == ["messages[2].content[1]", "messages[2].content[2]"]

    def test_a_model_that_begins_gets_a_user_before_it(self) -> None:
        contents = written(Message(role="assistant", parts=(Text(text="hello"),)))
        assert [content["role"] for content in contents] == ["user", "model"]
        assert written(Message(role="user", parts=()))[0]["role"] == "user"

    def test_a_prefill_stays_last(self) -> None:
        assert written(user("x"), Message(role="assistant", parts=(Text(text="{"),)))[-1] == model({"text": "{"})

    def test_system_in_mid_conversation_is_said_where_it_stands(self) -> None:
        rendered = WIRE.render_request(
            asked(user("a"), Message(role="system", parts=(Text(text="be brief"),)), user("b")), upstream()
        )
        contents: Any = rendered.body["contents"]
        assert contents[1]["role"] == "user"
        assert "be brief" in contents[1]["parts"][0]["text"]
        assert contents[1]["parts"][0]["text"] != "be brief"
        assert [loss.path for loss in rendered.losses] == ["messages[1]"]

    def test_bug_21_a_turn_of_foreign_thinking_only_is_dropped(self) -> None:
        turn = Message(role="assistant", parts=(Thinking(sections=("hm",), signature="s", origin="anthropic"),))
        rendered = WIRE.render_request(asked(user("a"), turn, user("b")), upstream())
        assert rendered.body["contents"] == [client({"text": "a"}), client({"text": "b"})]
        assert [loss.path for loss in rendered.losses] == ["messages[1].content[0]"]

    def test_bug_32_no_empty_text_beside_calls(self) -> None:
        turn = Message(role="assistant", parts=(Text(text=""), ToolCall(id="1", name="f")))
        assert written(user("a"), turn)[1] == model({"functionCall": {"name": "f", "args": {}, "id": "1"}})


class TestSignatures:
    def test_bug_01_signed_text_stays_text(self) -> None:
        (message,) = read(
            model({"text": "visible", "thoughtSignature": "c2ln"}, {"text": "", "thoughtSignature": "ZW5k"})
        )
        assert message.parts == (
            Text(text="visible", signature="c2ln", origin="gemini"),
            Text(text="", signature="ZW5k", origin="gemini"),
        )

    def test_bug_12_signatures_are_read_from_any_part(self) -> None:
        parts = [{"text": "t", "thought": True, "thoughtSignature": "YQ=="}, {**call("f"), "thoughtSignature": "Yg=="}]
        (message,) = read(model(*parts, {"thought": True, "thoughtSignature": "Yw=="}))
        assert [part.signature for part in message.parts] == ["YQ==", "Yg==", "Yw=="]

    def test_bug_02_a_signed_part_goes_back_unchanged(self) -> None:
        parts = [
            {"text": "t", "thought": True, "thoughtSignature": "YS_-"},
            {**call("f", z=1, a=[1.0]), "thoughtSignature": "Yg"},
            {"executableCode": {"code": "1", "language": "PYTHON"}, "thoughtSignature": "Yw=="},
        ]  # fmt: skip
        messages = read(client({"text": "x"}), model(*parts), client(result("f", "1")))
        foreign = written(*(Message(role=each.role, parts=each.parts) for each in messages))
        assert [part.get("thoughtSignature") for part in foreign[1]["parts"]] == ["YS_-", "Yg", "Yw=="]

    def test_bug_03_a_signature_goes_to_its_maker_only(self) -> None:
        turn = Message(
            role="assistant",
            parts=(
                Thinking(sections=("hm",), signature="s", origin="anthropic"),
                Text(text="x", signature="s", origin="vertex"),
                ToolCall(id="1", name="f", signature="s", origin="openai_responses"),
            ),
        )  # fmt: skip
        rendered = WIRE.render_request(asked(user("a"), turn), upstream())
        contents: Any = rendered.body["contents"]
        assert contents[1]["parts"] == [{"text": "x"}, {"functionCall": {"name": "f", "args": {}, "id": "1"}}]
        assert [loss.path for loss in rendered.losses] == [
            "messages[1].content[0]", "messages[1].content[1].signature", "messages[1].content[2].signature",
        ]  # fmt: skip

    def test_tagged_signatures_come_back_to_their_makers(self) -> None:
        seal = sealed("anthropic", "EqQB+/==")
        assert seal != "EqQB+/=="
        for spelled in (seal, seal.replace("+", "-").replace("/", "_"), seal.rstrip("=")):
            (message,) = read(model({"text": "hm", "thought": True, "thoughtSignature": spelled}))
            assert message.parts == (Thinking(sections=("hm",), signature="EqQB+/==", origin="anthropic"),)
        (message,) = read(model({"text": "", "thought": True, "thoughtSignature": sealed("anthropic", "!opaque")}))
        part = message.parts[0]
        assert isinstance(part, Thinking)
        assert (part.is_redacted, part.signature, part.sections) == (True, "opaque", ())

    def test_a_thought_that_was_streamed_in_pieces_comes_back_whole(self) -> None:
        """Its maker checks the signature against all of it."""
        pieces = [{"text": text, "thought": True} for text in ("One, ", "two.")]
        mark = {"text": "", "thought": True, "thoughtSignature": sealed("anthropic", "s1")}
        unsigned = {"text": "", "thought": True, "thoughtSignature": sealed("openai_chat", "")}
        (message,) = read(model(*pieces, mark, pieces[0], unsigned, {"text": "x"}))
        assert message.parts == (
            Thinking(sections=("One, two.",), signature="s1", origin="anthropic"),
            Thinking(sections=("One, ",), origin="openai_chat"),
            Text(text="x"),
        )

    def test_geminis_own_pieces_stay_as_they_are(self) -> None:
        own = [{"text": "One, ", "thought": True}, {"text": "two.", "thought": True, "thoughtSignature": "c2ln"}]
        (message,) = read(model(*own))
        assert [part.text for part in message.parts if isinstance(part, Thinking)] == ["One, ", "two."]

    def test_a_tag_that_is_broken_is_gemini_own(self) -> None:
        for blob in ("cHgxL", "cHgxL!!!", "cHgxLg=="):
            (message,) = read(model({"text": "x", "thoughtSignature": blob}))
            assert message.parts[0].signature == blob
        assert tag("a", "b") == "px1.a.b"

    def test_bug_15_calls_that_gemini_did_not_make_get_the_stand_in(self) -> None:
        turns = (
            user("x"), asks(ToolCall(id="1", name="f"), ToolCall(id="2", name="g")),
            answers(ToolResult(call_id="1"), ToolResult(call_id="2")),
            asks(ToolCall(id="3", name="h", signature="c2ln", origin="gemini")), answers(ToolResult(call_id="3")),
        )  # fmt: skip
        contents = written(*turns, needs_call_signature=True)
        assert [part.get("thoughtSignature") for part in contents[1]["parts"]] == [BYPASS, None]
        assert contents[3]["parts"][0]["thoughtSignature"] == "c2ln"
        assert "thoughtSignature" not in written(*turns)[1]["parts"][0]

    def test_bug_16_the_prefix_stays_the_same_as_the_conversation_grows(self) -> None:
        turns = [user("x"), asks(ToolCall(id="1", name="f")), answers(ToolResult(call_id="1"))]
        before = written(*turns, needs_call_signature=True)
        after = written(
            *turns, Message(role="assistant", parts=(Text(text="ok"),)), user("next"), needs_call_signature=True
        )
        assert after[: len(before)] == before

    def test_a_clients_stand_in_is_no_signature(self) -> None:
        (message, _) = read(model({**call("f"), "thoughtSignature": BYPASS}), client({"text": "x"}))
        assert message.parts[0].signature is None

    def test_thoughts_without_a_signature_go_home(self) -> None:
        contents = [client({"text": "x"}), model({"text": "hm", "thought": True}, {"text": "y"})]
        rendered = WIRE.render_request(WIRE.parse_request({"contents": contents}, model="m"), upstream())
        assert (rendered.body["contents"], rendered.losses) == (contents, ())


class TestResults:
    @pytest.mark.parametrize(
        ("response", "text", "is_error"),
        [
            ({"output": "x"}, "x", False),
            ({"result": "x"}, "x", False),
            ({"error": "x"}, "x", True),
            ({"result": {"a": 1}}, '{"a":1}', False),
            ({"temperature": 21, "unit": "C"}, '{"temperature":21,"unit":"C"}', False),
            ({"error": "x", "output": "y"}, '{"error":"x","output":"y"}', False),
            ({"output": ""}, "", False),
        ],
    )
    def test_read(self, response: Any, text: str, is_error: bool) -> None:
        (message,) = read(client({"functionResponse": {"name": "f", "response": response}}))
        part = message.parts[0]
        assert isinstance(part, ToolResult)
        assert (part.parts, part.is_error) == ((Text(text=text),), is_error)

    @pytest.mark.parametrize(
        ("given", "response"),
        [
            (ToolResult(call_id="1", parts=(Text(text="x"),)), {"result": "x"}),
            (ToolResult(call_id="1", parts=(Text(text='{"a": 1}'),)), {"a": 1}),
            (ToolResult(call_id="1", parts=(Text(text="[1]"),)), {"result": "[1]"}),
            (ToolResult(call_id="1", parts=(Text(text="a"), Text(text="b"))), {"result": "a\nb"}),
            (ToolResult(call_id="1", parts=(Text(text="bad"),), is_error=True), {"error": "bad"}),
            (ToolResult(call_id="1", parts=(Text(text='{"a": 1}'),), is_error=True), {"error": '{"a": 1}'}),
        ],
    )
    def test_write(self, given: ToolResult, response: Any) -> None:
        contents = written(user("x"), asks(ToolCall(id="1", name="f")), answers(given))
        assert contents[2]["parts"][0]["functionResponse"] == {"name": "f", "id": "1", "response": response}

    def test_bug_49_an_empty_result_is_an_empty_text(self) -> None:
        contents = written(user("x"), asks(ToolCall(id="1", name="f")), answers(ToolResult(call_id="1")))
        assert contents[2]["parts"][0]["functionResponse"]["response"] == {"result": ""}

    def test_bug_48_images_stay_with_their_own_result(self) -> None:
        def with_image(number: str) -> ToolResult:
            return ToolResult(
                call_id=number, parts=(Text(text=number), Media(kind="image", media_type="image/png", data=number))
            )

        turns = (
            user("x"),
            asks(ToolCall(id="1", name="f"), ToolCall(id="2", name="f")),
            answers(with_image("2"), with_image("1")),
        )
        contents = written(*turns)
        assert [part["functionResponse"]["parts"] for part in contents[2]["parts"]] == [
            [{"inlineData": {"mimeType": "image/png", "data": number}}] for number in "12"
        ]
        after = written(*turns, has_media_in_results=False)[2]["parts"]
        assert [part["functionResponse"]["response"]["result"] for part in after[:2]] == [
            f"{number}\n[image 2 of the result of {number}: it follows the results]" for number in "12"
        ]
        png = {"mimeType": "image/png"}
        assert after[2:] == [
            {"text": "[image 2 of the result of 1]"}, {"inlineData": {**png, "data": "1"}},
            {"text": "[image 2 of the result of 2]"}, {"inlineData": {**png, "data": "2"}},
        ]  # fmt: skip

    def test_a_result_that_cannot_be_seen_is_told_in_its_text(self) -> None:
        media = Media(kind="image", file_id="file-1", origin="anthropic")
        answer = answers(ToolResult(call_id="1", parts=(Text(text="see"), media)))
        body = written(user("x"), asks(ToolCall(id="1", name="f")), answer)[2]["parts"][0]["functionResponse"]
        assert "parts" not in body
        assert body["response"] == {"result": "see\n[image left out: the file lies with anthropic]"}

    def test_what_only_another_wire_knows_of_a_results_text_is_a_loss(self) -> None:
        text = Text(text="found", residue=Residue(wire="anthropic", fields={"source": "https://a.example"}))
        turns = (user("x"), asks(ToolCall(id="1", name="f")), answers(ToolResult(call_id="1", parts=(text,))))
        losses = WIRE.render_request(asked(*turns), upstream()).losses
        assert [loss.path for loss in losses] == ["messages[2].content[0].content[0].source"]

    def test_images_in_a_gemini_clients_result(self) -> None:
        (message,) = read(
            client(result("f", "x", parts=[{"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"new": 1}]))
        )
        assert message.parts[0].parts[1:] == (
            Media(kind="image", media_type="image/png", data="AA=="),
            Opaque(wire="gemini", kind="new", value={"new": 1}, origin="gemini"),
        )


class TestMedia:
    @pytest.mark.parametrize(
        ("part", "media"),
        [
            ({"inlineData": {"mimeType": "audio/wav", "data": "AA==", "displayName": "a"}},
             Media(kind="audio", media_type="audio/wav", data="AA==", name="a")),
            ({"inlineData": {"mimeType": "text/plain", "data": "AA=="}},
             Media(kind="document", media_type="text/plain", data="AA==")),
            ({"fileData": {"fileUri": "https://example.com/a.png?x=1"}},
             Media(kind="image", url="https://example.com/a.png?x=1")),
            ({"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
             Media(kind="video", url="https://www.youtube.com/watch?v=1")),
            ({"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a"}},
             Media(kind="document", media_type="application/pdf", file_id="gs://bucket/a", origin="gemini")),
            ({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
             Media(kind="document", file_id="https://generativelanguage.googleapis.com/v1beta/files/abc",
                   origin="gemini")),
        ],
    )  # fmt: skip
    def test_read(self, part: Any, media: Media) -> None:
        assert read(client(part))[0].parts == (media,)

    @pytest.mark.parametrize(
        ("media", "part"),
        [
            (Media(kind="image", data="iVBORw0KGgoAAA"),
             {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgoAAA"}}),
            (Media(kind="document", data="AA=="), {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}),
            (Media(kind="image", url="https://e.com/a.webp?q"),
             {"fileData": {"mimeType": "image/webp", "fileUri": "https://e.com/a.webp?q"}}),
            (Media(kind="document", media_type="text/plain", data="AA==", name="n.txt"),
             {"inlineData": {"mimeType": "text/plain", "data": "AA==", "displayName": "n.txt"}}),
        ],
    )  # fmt: skip
    def test_write(self, media: Media, part: Any) -> None:
        rendered = WIRE.render_request(asked(Message(role="user", parts=(media,))), upstream())
        assert (rendered.body["contents"], rendered.losses) == ([client(part)], ())

    def test_bug_52_a_file_of_google_cloud_goes_home(self) -> None:
        media = Media(kind="image", media_type="image/png", file_id="gs://b/a.png", origin="gemini")
        assert written(Message(role="user", parts=(media,))) == [
            client({"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a.png"}})
        ]

    @pytest.mark.parametrize(
        ("media", "profile"),
        [
            (Media(kind="image", file_id="file-1", origin="openai_responses"), {}),
            (Media(kind="audio", data="AA=="), {}),
            (Media(kind="image", url="https://e.com/a.png"), {"takes_media_url": False}),
        ],
    )
    def test_what_the_model_cannot_see_is_told_to_it_and_to_the_client(self, media: Media, profile: Any) -> None:
        rendered = WIRE.render_request(asked(Message(role="user", parts=(media,))), upstream(**profile))
        contents: Any = rendered.body["contents"]
        assert "left out" in contents[0]["parts"][0]["text"]
        assert [loss.path for loss in rendered.losses] == ["messages[0].content[0]"]

    def test_how_closely_to_look_is_a_loss_only_when_it_was_asked(self) -> None:
        for detail, lost in (("auto", 0), (None, 0), ("low", 1), ("high", 1)):
            media = Media(kind="image", data="AA==", media_type="image/png", detail=detail)
            assert len(WIRE.render_request(asked(Message(role="user", parts=(media,))), upstream()).losses) == lost


class TestCalls:
    @pytest.mark.parametrize(
        ("arguments", "args", "lost"),
        [
            ("", {}, 0),
            ("  ", {}, 0),
            ('{"a": "é"}', {"a": "é"}, 0),
            ('{"a": ', {"input": '{"a": '}, 1),
            ("[1, 2]", {"input": "[1, 2]"}, 1),
            ('"x"', {"input": '"x"'}, 1),
        ],
    )
    def test_bug_35_arguments_that_are_no_object_are_wrapped(self, arguments: str, args: Any, lost: int) -> None:
        turn = asks(ToolCall(id="1", name="f", arguments=arguments))
        rendered = WIRE.render_request(asked(user("x"), turn), upstream())
        contents: Any = rendered.body["contents"]
        assert contents[1]["parts"][0]["functionCall"]["args"] == args
        assert len(rendered.losses) == lost

    def test_bug_43_a_custom_tools_text_travels_in_an_object(self) -> None:
        turn = asks(ToolCall(id="1", name="f", arguments="{not json", is_custom=True))
        rendered = WIRE.render_request(asked(user("x"), turn), upstream())
        contents: Any = rendered.body["contents"]
        assert contents[1]["parts"][0]["functionCall"]["args"] == {"input": "{not json"}
        assert rendered.losses == ()

    def test_other_wires_parts(self) -> None:
        turn = Message(
            role="assistant", parts=(Refusal(text="no"), Opaque(wire="anthropic", kind="server_tool_use", value={}))
        )
        rendered = WIRE.render_request(asked(user("x"), turn), upstream())
        contents: Any = rendered.body["contents"]
        assert contents[1]["parts"] == [{"text": "no"}]
        assert [loss.what for loss in rendered.losses] == ["refusal mark", "server_tool_use"]


def test_rendering_leaves_the_hub_as_it_was() -> None:
    body = {"contents": {"parts": [{"inline_data": {"mime_type": "a/b", "data": ""}}]}, "tools": {"google_search": {}}}
    request = WIRE.parse_request(body, model="m")
    copied = WIRE.parse_request(body, model="m")
    assert isinstance(request, Request)
    assert WIRE.render_request(request, upstream()).body == body
    assert request == copied
