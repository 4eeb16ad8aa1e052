from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import brotli
import msgspec
import pytest

from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Outcome, Refused, Report
from proxy.errors import NoCandidate, Untranslatable
from proxy.hub.events import Failure
from proxy.hub.loss import Loss
from proxy.hub.response import Usage

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY = "sk-a-long-random-word-1"


class TestTheWayIn:
    async def test_an_inquiry_is_the_request_without_its_key(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY])
        await house.post(
            "/v1/messages?beta=true&key=other",
            {"model": "big", "messages": [], "stream": False},
            x_api_key=KEY,
            Authorization="Bearer something",
            Cookie="a=b",
            anthropic_beta="x-1",
            X_Request_ID="mine.1",
        )
        (inquiry,) = house.dispatcher.inquiries
        assert (inquiry.wire, inquiry.operation, inquiry.model) == ("anthropic", "generate", "big")
        assert (inquiry.request_id, inquiry.client, inquiry.is_stream) == ("mine.1", "client 0", False)
        assert inquiry.body == b'{"model":"big","messages":[],"stream":false}'
        assert dict(inquiry.query) == {"beta": "true"}
        assert inquiry.headers["Anthropic-Beta"] == inquiry.headers["anthropic-beta"] == "x-1"
        assert not {"x-api-key", "authorization", "cookie"} & {name.lower() for name in inquiry.headers}

    @pytest.mark.parametrize(
        ("path", "is_stream", "framing"),
        [
            ("/v1beta/models/g:streamGenerateContent?alt=sse", True, "sse"),
            ("/v1beta/models/g:streamGenerateContent", True, "json-array"),
            ("/v1beta/models/g:generateContent", False, "sse"),
            ("/v1beta/models/team%2Fg:countTokens", False, "sse"),
        ],
    )
    async def test_google_says_stream_and_framing_in_the_url(
        self, house: House, path: str, is_stream: bool, framing: str
    ) -> None:
        answer = await house.post(path, {"contents": []})
        assert answer.status == 200
        (inquiry,) = house.dispatcher.inquiries
        assert (inquiry.is_stream, inquiry.framing) == (is_stream, framing)
        assert inquiry.model == ("team/g" if "team" in path else "g")

    async def test_embeddings_are_never_a_stream(self, house: House) -> None:
        await house.post("/v1/embeddings", {"model": "e", "input": "x", "stream": True})
        assert not house.dispatcher.inquiries[0].is_stream

    @pytest.mark.parametrize(("header", "is_strict"), [("true", True), ("1", True), ("0", False), ("absent", False)])
    async def test_strict_by_header(self, house: House, header: str, is_strict: bool) -> None:
        await house.post("/v1/responses", x_proxy_strict=header)
        assert house.dispatcher.inquiries[0].is_strict == is_strict

    @pytest.mark.parametrize(
        ("coding", "encode"),
        [
            ("gzip", gzip.compress),
            ("deflate", zlib.compress),
            ("br", brotli.compress),
            ("zstd", zstd.compress),
            ("zstd", lambda data: zstd.compress(data[:9]) + zstd.compress(data[9:])),
        ],
    )
    async def test_compressed_requests(self, house: House, coding: str, encode: Callable[[bytes], bytes]) -> None:
        text = b'{"model":"big","input":"' + b"x" * 100_000 + b'"}'
        answer = await house.post("/v1/responses", encode(text), Content_Encoding=coding)
        assert answer.status == 200
        assert house.dispatcher.inquiries[0].body == text

    @pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, brotli.compress, zstd.compress])
    async def test_T32_a_bomb_is_too_large(self, open_house: Open, encode: Callable[[bytes], bytes]) -> None:
        house = await open_house(body_bytes_max=1_000_000)
        coding = {gzip.compress: "gzip", zlib.compress: "deflate", brotli.compress: "br"}.get(encode, "zstd")
        answer = await house.post("/v1/responses", encode(bytes(50_000_000)), Content_Encoding=coding)
        assert answer.status == 413
        assert answer.error["code"] == "request_too_large"
        assert not house.dispatcher.inquiries

    async def test_a_body_of_many_megabytes(self, house: House) -> None:
        text = b'{"model":"big","input":"' + b"x" * 33_000_000 + b'"}'
        assert (await house.post("/v1/chat/completions", text)).status == 200
        assert len(house.dispatcher.inquiries[0].body) == len(text)

    async def test_curl_waits_for_leave_to_send_a_large_body(self, house: House) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
            b"Content-Length: 15\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n" % house.port
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"model":"big"}')
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()

    async def test_whoever_is_refused_need_not_send_the_body(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY])
        head = await house.raw(
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 15\r\n"
            b"Expect: 100-continue\r\n\r\n" % house.port,
            until_closed=False,
        )
        assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


class TestWhoMay:
    async def test_T03_dns_rebinding_host_allowlist(self, house: House) -> None:
        for path in ("/", "/v1/models", "/healthz", "/metrics", "/v0/management/config", "/nothing"):
            answer = await house.get(path, Host=f"attacker.test:{house.port}")
            assert answer.status == 421
            assert "server.allowed-hosts" in str(answer.error["message"])
        assert (await house.post("/v1/messages", Host="attacker.test")).status == 421
        assert not house.dispatcher.inquiries

    async def test_a_configured_host(self, open_house: Open) -> None:
        house = await open_house(allowed_hosts=("proxy.example.com",), keys=[KEY])
        answer = await house.post("/v1/messages", Host="proxy.example.com", x_api_key=KEY)
        assert answer.status == 200
        assert (await house.post("/v1/messages", Host="other.example.com", x_api_key=KEY)).status == 421

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/models/big", "/v1beta/models"])
    async def test_models_need_a_key(self, open_house: Open, path: str) -> None:
        house = await open_house(keys=[KEY])
        refused = await house.get(path)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert (await house.get(f"{path}?key={KEY}")).status == 200

    async def test_a_web_page_without_a_key(self, house: House) -> None:
        answer = await house.post("/v1/messages", Origin="https://attacker.test")
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert not house.dispatcher.inquiries

    async def test_T04_a_form_that_posts_json_as_text(self, house: House) -> None:
        answer = await house.post("/v1/messages", b'{"model":"big"}', Content_Type="text/plain")
        assert answer.status == 415
        assert not house.dispatcher.inquiries

    async def test_metrics_are_for_this_machine_or_a_key(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY])
        assert (await house.get("/metrics")).status == 200
        assert (await house.get("/metrics", X_Forwarded_For="203.0.113.9")).status == 401
        assert (await house.get("/metrics", X_Forwarded_For="203.0.113.9", x_api_key=KEY)).status == 200


class TestCors:
    ORIGIN = "https://app.example.com"

    async def test_T05_no_page_reads_by_default(self, house: House) -> None:
        for path in ("/v1/models", "/v1/messages", "/healthz", "/v0/management/config"):
            preflight = await house.ask("OPTIONS", path, None, Origin=self.ORIGIN, Access_Control_Request_Method="GET")
            assert preflight.status in {403, 404, 405}
            assert not [name for name in preflight.headers if name.lower().startswith("access-control")]

    async def test_T05_a_configured_origin_alone_reads_the_api_alone(self, open_house: Open) -> None:
        house = await open_house(cors_origins=(self.ORIGIN,), keys=[KEY])
        preflight = await house.ask(
            "OPTIONS",
            "/v1/messages",
            None,
            Origin=self.ORIGIN,
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="x-api-key,content-type",
        )
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == self.ORIGIN
        assert preflight.headers["Access-Control-Allow-Headers"] == "x-api-key,content-type"
        assert preflight.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in preflight.headers
        answer = await house.post("/v1/messages", Origin=self.ORIGIN, x_api_key=KEY)
        assert answer.headers["Access-Control-Allow-Origin"] == self.ORIGIN
        refused = await house.post("/v1/messages", Origin=self.ORIGIN)
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, self.ORIGIN)
        for path in ("/metrics", "/health?detail=1", "/v0/management/config"):
            assert "Access-Control-Allow-Origin" not in (await house.get(path, Origin=self.ORIGIN)).headers
        for origin in ("https://attacker.test", "null", self.ORIGIN + ".attacker.test", self.ORIGIN.upper()):
            stranger = await house.post("/v1/messages", Origin=origin, x_api_key=KEY)
            assert stranger.status == 200
            assert "Access-Control-Allow-Origin" not in stranger.headers


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "wire"),
        [
            ("/v1/messages", "anthropic"),
            ("/v1/chat/completions", "openai"),
            ("/v1/responses", "openai"),
            ("/v1beta/models/g:generateContent", "gemini"),
        ],
    )
    async def test_each_is_told_in_the_dialect_of_the_route(self, open_house: Open, path: str, wire: str) -> None:
        house = await open_house(body_bytes_max=1000)
        told = {
            "malformed": await house.post(path, b'{"model":"a","x":[1,NaN]}'),
            "too large": await house.post(path, b"{" + b" " * 1000 + b"}"),
            "media type": await house.post(path, b"{}", Content_Type="text/plain"),
            "encoding": await house.post(path, b"{}", Content_Encoding="compress"),
            "host": await house.post(path, Host="attacker.test"),
        }
        assert {what: answer.dialect for what, answer in told.items()} == dict.fromkeys(told, wire)
        assert [answer.status for answer in told.values()] == [400, 413, 415, 415, 421]
        assert b"x[1]" in told["malformed"].body
        assert "(byte 20)" in str(told["malformed"].error["message"])
        for answer in told.values():
            assert answer.json.get("request_id", answer.headers["X-Request-ID"]) == answer.headers["X-Request-ID"]
            assert answer.headers["Content-Type"] == "application/json"

    async def test_405_says_what_would_do(self, house: House) -> None:
        answer = await house.get("/v1/messages")
        assert (answer.status, answer.headers["Allow"], answer.dialect) == (405, "POST", "anthropic")
        answer = await house.post("/v1beta/models/g")
        assert (answer.status, answer.headers["Allow"], answer.dialect) == (405, "GET, HEAD", "gemini")

    @pytest.mark.parametrize(
        ("path", "wire"),
        [("/v1/files", "openai"), ("/v1beta/models/g:predict", "gemini"), ("/v1/messages/batches", "anthropic")],
    )
    async def test_404(self, house: House, path: str, wire: str) -> None:
        answer = await house.post(path)
        assert (answer.status, answer.dialect) == (404, wire)

    async def test_nobody_is_left(self, house: House) -> None:
        async def refuse(inquiry: Inquiry) -> Outcome:
            error = NoCandidate("all are cooling", status=429, retry_after_seconds=6.2)
            report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
            raise Refused(Failure.of(error), report, (("x-should-retry", "false"),))

        house.dispatcher.answer = refuse
        answer = await house.post("/v1/messages")
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "7"
        assert answer.headers["x-should-retry"] == "false"

    async def test_a_stream_that_is_refused_before_it_began_is_an_answer_with_a_status(self, house: House) -> None:
        async def refuse(inquiry: Inquiry) -> Outcome:
            report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
            raise Refused.because(Untranslatable("no room for it", path="tools[0]"), report)

        house.dispatcher.answer = refuse
        answer = await house.post("/v1/messages", {"model": "big", "stream": True})
        assert (answer.status, answer.error["message"]) == (400, "tools[0]: no room for it")
        assert answer.headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize(("query", "is_array"), [("", True), ("?alt=sse", False)])
    async def test_googles_array_streams_have_arrays_of_errors(self, house: House, query: str, is_array: bool) -> None:
        async def refuse(inquiry: Inquiry) -> Outcome:
            report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
            raise Refused.because(Untranslatable("no room for it"), report)

        house.dispatcher.answer = refuse
        answer = await house.post(f"/v1beta/models/g:streamGenerateContent{query}", {"contents": []})
        told = msgspec.json.decode(answer.body)
        assert isinstance(told, list) == is_array
        assert (told[0] if is_array else told)["error"]["status"] == "INVALID_ARGUMENT"


class TestTheWayOut:
    @pytest.mark.parametrize("given", ["abc", "A.b-c_9", "x" * 128])
    async def test_a_request_id_is_echoed(self, house: House, given: str) -> None:
        assert (await house.post("/v1/messages", X_Request_ID=given)).headers["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a;b", "ключ"])
    async def test_T31_what_is_no_request_id_is_not(self, house: House, given: str) -> None:
        answer = await house.post("/v1/messages", X_Request_ID=given)
        assert answer.headers["X-Request-ID"] == "made-1"

    async def test_anthropics_clients_find_the_request_id_where_they_look(self, house: House) -> None:
        assert (await house.post("/v1/messages")).headers["request-id"] == "made-1"
        assert "request-id" not in (await house.post("/v1/responses")).headers

    async def test_an_answer_has_its_length_and_the_upstreams_status_and_headers(self, house: House) -> None:
        async def answer(inquiry: Inquiry) -> Outcome:
            told = await house.dispatcher.__class__().answer(inquiry)
            told.status = 201
            told.headers = (
                *told.headers,
                ("x-proxy-model", "real"),
                ("Connection", "upgrade"),
                ("Content-Length", "7"),
                ("content-encoding", "gzip"),
                ("x-bad", "a\r\nset-cookie: b"),
                ("x bad", "a"),
                ("X-Request-ID", "upstream's"),
            )
            return told

        house.dispatcher.answer = answer
        got = await house.post("/v1/chat/completions")
        assert (got.status, got.body) == (201, b'{"model":"big"}')
        assert got.headers["Content-Length"] == "15"
        assert got.headers["x-proxy-model"] == "real"
        assert got.headers["X-Request-ID"] == "made-1"
        assert got.headers["Server"] == "proxy"
        assert not {"connection", "content-encoding", "x-bad", "set-cookie"} & {name.lower() for name in got.headers}

    async def test_the_log_line(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY])

        async def answer(inquiry: Inquiry) -> Outcome:
            told = await type(house.dispatcher)().answer(inquiry)
            told.report = Report(
                request_id=inquiry.request_id,
                model_asked=inquiry.model,
                model_served="real",
                provider="anthropic",
                credential="claude-1",
                account="first",
                attempts=[
                    AttemptRecord(provider="openai", credential="o-1", model="x", status=529),
                    AttemptRecord(provider="anthropic", credential="claude-1", model="real", status=200),
                ],
                losses=(Loss("seed", "seed", "it has none"),),
                usage=Usage(input_uncached=10, cache_read=5, output=-1, reasoning=0),
                finish="stop",
                first_byte_seconds=0.25,
            )
            return told

        house.dispatcher.answer = answer
        await house.post(f"/v1/messages?key={KEY}", X_Request_ID="mine")
        (line,) = house.log()
        assert line.pop("timestamp")
        assert isinstance(line.pop("seconds"), float)
        assert line == {
            "event": "request.finished",
            "level": "info",
            "request_id": "mine",
            "route": "/v1/messages",
            "status": 200,
            "client": "client 0",
            "model": "big",
            "model_served": "real",
            "provider": "anthropic",
            "credential": "claude-1",
            "first_byte_seconds": 0.25,
            "tokens": {"input_uncached": 10, "cache_read": 5},
            "retries": 1,
            "finish": "stop",
            "losses": ["seed: seed: it has none"],
        }
        assert KEY.encode() not in house.written.getvalue()
        figures = (await house.get("/metrics")).body.decode()
        for line_wanted in (
            'proxy_requests_total{route="/v1/messages",status="2xx"} 1.0',
            'proxy_tokens_total{kind="cache_read",provider="anthropic"} 5.0',
            'proxy_attempts_total{provider="openai",result="failed"} 1.0',
            'proxy_attempts_total{provider="anthropic",result="ok"} 1.0',
            "proxy_losses_total 1.0",
            'proxy_first_byte_seconds_count{route="/v1/messages"} 1.0',
            "proxy_requests_in_flight 1.0",
        ):
            assert line_wanted in figures

    async def test_a_refused_request_has_its_line_too(self, house: House) -> None:
        await house.post("/v1/messages", b"[]")
        (line,) = house.log()
        assert (line["event"], line["status"]) == ("request.finished", 400)
        assert str(line["error"]).startswith("the body is malformed")


class TestAnsweredHere:
    async def test_probes_do_not_fill_the_log(self, house: House) -> None:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await house.get(path)).status == 200
        assert not house.log()
        await house.get("/v1/models")
        assert [line["route"] for line in house.log()] == ["/v1/models"]

    async def test_the_index(self, house: House) -> None:
        answer = await house.get("/")
        assert "POST /v1/messages" in str(answer.json["endpoints"])
        head = await house.ask("HEAD", "/", None)
        assert (head.status, head.body) == (200, b"")

    async def test_models_in_each_shape(self, house: House) -> None:
        assert (await house.get("/v1/models")).json["object"] == "list"
        assert (await house.get("/v1/models", anthropic_version="2023-06-01")).json["first_id"] == "big"
        assert "models" in (await house.get("/v1beta/models")).json
        one = await house.get("/v1/models/vendor%2Fsmall")
        assert one.json["id"] == "vendor/small"
        missing = await house.get("/v1beta/models/nothing")
        assert (missing.status, missing.dialect, missing.error["status"]) == (404, "gemini", "NOT_FOUND")

    @pytest.mark.parametrize(
        "path", [b"/v1/models/%ff%00", b"/v1/models/\xff\xfe", b"/v1/models/%ed%a0%80", b"/%", b"/%2e%2e/v1"]
    )
    async def test_T31_an_odd_path_is_only_odd(self, house: House, path: bytes) -> None:
        answer = await house.raw(
            b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % (path, house.port)
        )
        assert int(answer.split()[1]) in {400, 404}
        assert answer.count(b"HTTP/1.") == 1

    @pytest.mark.parametrize("model", ["a\r\nset-cookie: b", "a\ndata: {}\n\n", "\u2028", "ключ", "x" * 100_000])
    async def test_T31_an_odd_model_is_only_odd(self, house: House, model: str) -> None:
        answer = await house.post("/v1/messages", {"model": model})
        assert answer.status == 200
        assert house.dispatcher.inquiries[0].model == model
        assert "set-cookie" not in answer.headers
