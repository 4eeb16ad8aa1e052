from __future__ import annotations

from collections.abc import Mapping

import pytest

from proxy.errors import UnknownRoute
from proxy.server import routes
from proxy.server.routes import NoWebSocket, WrongMethod, dialect, find


def found(
    path: str, method: str = "POST", query: Mapping[str, str] | None = None, **headers: str
) -> tuple[str, str, str, str | None]:
    match = find(path, method, {name.replace("_", "-"): value for name, value in headers.items()}, query or {})
    route = match.route
    return route.kind, route.wire, route.operation, match.model


@pytest.mark.parametrize(
    ("path", "wire", "operation"),
    [
        ("/v1/messages", "anthropic", "generate"),
        ("/v1/responses/input_tokens", "openai_responses", "count_tokens"),
        ("/v1/messages/count_tokens", "anthropic", "count_tokens"),
        ("/v1/chat/completions", "openai_chat", "generate"),
        ("/v1/completions", "openai_chat", "complete"),
        ("/v1/embeddings", "openai_chat", "embed"),
        ("/v1/responses", "openai_responses", "generate"),
        ("/v1/responses/compact", "openai_responses", "compact"),
        ("/v1/images/generations", "openai_chat", "draw"),
        ("/v1/images/edits", "openai_chat", "edit_image"),
        ("/v1/audio/transcriptions", "openai_chat", "transcribe"),
        ("/v1/audio/translations", "openai_chat", "translate"),
        ("/v1/audio/speech", "openai_chat", "speak"),
        ("/v1/moderations", "openai_chat", "moderate"),
        ("/v1/rerank", "openai_chat", "rerank"),
    ],
)
@pytest.mark.parametrize("head", ["", "/v1", "/v1/v1", "/api", "/openai", "/anthropic", "/"])
def test_a_path_names_wire_and_operation_however_the_base_url_was_written(
    head: str, path: str, wire: str, operation: str
) -> None:
    assert found(head + path) == ("ask", wire, operation, None)
    assert found(head + path + "/") == ("ask", wire, operation, None)
    assert found(head + path.removeprefix("/v1")) == ("ask", wire, operation, None), "the /v1 was forgotten"


def test_models_and_stored_answers_where_the_v1_was_forgotten() -> None:
    assert found("/models", "GET") == ("models", "openai_chat", "generate", None)
    assert found("/models", "GET", anthropic_version="2023-06-01")[1] == "anthropic"
    assert found("/models/a/b", "GET") == ("model", "openai_chat", "generate", "a/b")
    assert found("/responses/resp_1", "GET")[0] == "stored"
    assert found("/responses", "GET", upgrade="websocket")[0] == "socket"
    assert found("/models/gemini-3.5-flash:generateContent")[:2] == ("ask", "gemini")


@pytest.mark.parametrize(
    ("path", "operation", "is_stream"),
    [
        (":generateContent", "generate", False),
        (":streamGenerateContent", "generate", True),
        (":countTokens", "count_tokens", False),
        (":embedContent", "embed", False),
        (":batchEmbedContents", "embed_batch", False),
    ],
)
@pytest.mark.parametrize(
    "head",
    [
        "/v1beta/models/", "/v1/models/", "/v1alpha/models/", "/v1/v1beta/models/", "/v1beta/models/models/",
        "/v1beta1/publishers/google/models/", "/v1beta1/models/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["gemini-2.5-pro", "team/gemini-2.5-pro", "llama3:8b", "a/b/c(high)"])
def test_google_writes_the_model_and_the_verb_into_the_path(
    head: str, model: str, path: str, operation: str, is_stream: bool
) -> None:
    match = find(head + model + path, "POST", {})
    assert (match.route.wire, match.route.operation, match.route.is_stream) == ("gemini", operation, is_stream)
    assert match.model == model


def test_openai_under_google_and_codex() -> None:
    assert found("/v1beta/openai/chat/completions") == ("ask", "openai_chat", "generate", None)
    assert found("/v1beta/openai/models", "GET") == ("models", "openai_chat", "generate", None)
    assert found("/backend-api/codex/responses") == ("ask", "openai_responses", "generate", None)
    assert found("/backend-api/codex/responses/compact") == ("ask", "openai_responses", "compact", None)


@pytest.mark.parametrize(
    ("method", "path", "kind", "wire"),
    [
        ("GET", "/backend-api/codex/models", "codex_models", "openai_responses"),
        ("GET", "/backend-api/wham/usage", "codex_usage", "openai_responses"),
        ("GET", "/api/codex/usage", "codex_usage", "openai_responses"),
        ("GET", "/backend-api/wham/accounts/check", "codex_account", "openai_responses"),
        ("GET", "/api/codex/accounts/check", "codex_account", "openai_responses"),
        ("GET", "/backend-api/wham/settings/user", "idle", "openai_responses"),
        ("HEAD", "/", "index", "openai_chat"),
        ("HEAD", "/api/hello", "idle", "anthropic"),
        ("GET", "/api/hello", "idle", "anthropic"),
        ("POST", "/api/event_logging/v2/batch", "idle", "anthropic"),
        ("POST", "/api/event_logging/batch", "idle", "anthropic"),
    ],
)
def test_what_clients_ask_of_their_vendor_by_habit(method: str, path: str, kind: str, wire: str) -> None:
    assert found(path, method)[:2] == (kind, wire)


def test_codex_says_its_version_where_it_wants_its_own_list() -> None:
    version = {"client_version": "0.169.0"}
    assert found("/v1/models", "GET", version)[0] == "codex_models"
    assert found("/v1/models/x", "GET", version)[0] == "model"


@pytest.mark.parametrize(
    ("name", "operation", "is_stream"),
    [
        ("generateContent", "generate", False),
        ("streamGenerateContent", "generate", True),
        ("countTokens", "count_tokens", False),
    ],
)
def test_code_assist_asks_models_in_an_envelope(name: str, operation: str, is_stream: bool) -> None:
    match = find(f"/v1internal:{name}", "POST", {})
    assert (match.route.kind, match.route.wire, match.route.operation) == ("ask", "gemini", operation)
    assert (match.route.is_enveloped, match.route.is_stream, match.model) == (True, is_stream, None)


@pytest.mark.parametrize(
    "name",
    [
        "loadCodeAssist", "onboardUser", "retrieveUserQuota", "listExperiments", "fetchAdminControls",
        "recordCodeAssistMetrics",
    ],
)  # fmt: skip
def test_code_assist_asks_about_the_account(name: str) -> None:
    assert found(f"/v1internal:{name}") == ("code_assist", "gemini", "generate", name)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses", "/backend-api/codex/responses", "/v1/v1/responses", "/api/v1/responses",
        "/v1beta/openai/responses", "/openai/v1/responses/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mark", [{"upgrade": "WebSocket"}, {"sec-websocket-key": "x"}])
def test_responses_has_a_websocket(path: str, mark: dict[str, str]) -> None:
    assert find(path, "GET", mark).route.kind == "socket"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses/compact", "/v1/messages"])
def test_who_wants_another_websocket_hears_that_http_will_do(path: str) -> None:
    with pytest.raises(NoWebSocket) as raised:
        find(path, "GET", {"upgrade": "WebSocket"})
    assert raised.value.status == 426


def test_a_wish_for_a_websocket_does_not_matter_where_get_is_served() -> None:
    assert found("/v1/models", "GET", upgrade="websocket")[0] == "models"


@pytest.mark.parametrize(("method", "operation"), [("GET", "retrieve"), ("HEAD", "retrieve"), ("DELETE", "delete")])
@pytest.mark.parametrize(
    "path", ["/v1/responses/resp_1-a", "/v1/v1/responses/resp_1-a/", "/openai/v1/responses/resp_1-a"]
)
def test_a_stored_answer_is_fetched_and_deleted_by_its_id(path: str, method: str, operation: str) -> None:
    assert found(path, method) == ("stored", "openai_responses", operation, "resp_1-a")


def test_without_a_wish_for_a_websocket_get_is_the_wrong_method() -> None:
    with pytest.raises(WrongMethod):
        find("/v1/responses", "GET", {})


@pytest.mark.parametrize(
    ("path", "headers", "wire"),
    [
        ("/v1/models", {}, "openai_chat"),
        ("/v1/models", {"authorization": "Bearer x"}, "openai_chat"),
        ("/v1/models", {"anthropic_version": "2023-06-01"}, "anthropic"),
        ("/v1/models", {"x_api_key": "x"}, "anthropic"),
        ("/anthropic/v1/models", {}, "anthropic"),
        ("/v1/models", {"x_goog_api_key": "x"}, "gemini"),
        ("/v1/models", {"x_goog_api_client": "google-genai-sdk"}, "gemini"),
        ("/openai/v1/models", {"x_api_key": "x"}, "openai_chat"),
        ("/v1beta/models", {"x_api_key": "x"}, "gemini"),
    ],
)
def test_the_list_of_models_has_the_shape_of_who_asks(path: str, headers: dict[str, str], wire: str) -> None:
    assert found(path, "GET", **headers)[:2] == ("models", wire)
    assert found(path + "/a/b:free", "GET", **headers) == ("model", wire, "generate", "a/b:free")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "index"), ("/healthz", "healthz"), ("/livez", "livez"), ("/readyz", "readyz"), ("/metrics", "metrics")],
)
def test_own_routes_take_get_and_head(path: str, kind: str) -> None:
    assert found(path, "GET")[0] == found(path, "HEAD")[0] == kind


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/messages", "POST"),
        ("DELETE", "/v1/responses", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("POST", "/v1beta/models/gemini", "GET, HEAD"),
        ("PUT", "/v1beta/models/gemini:generateContent", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_hears_which_ones_are_right(method: str, path: str, allowed: str) -> None:
    with pytest.raises(WrongMethod) as raised:
        find(path, method, {})
    assert raised.value.status == 405
    assert raised.value.allowed == allowed


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("/nothing", "openai_chat"),
        ("/chat", "openai_chat"),
        ("/messages/batches", "anthropic"),
        ("/responses/resp_1/cancel", "openai_responses"),
        ("/v1/images/variations", "openai_chat"),
        ("/v1/responses/resp_1/cancel", "openai_responses"),
        ("/v1/responses/..%2fx", "openai_responses"),
        ("/backend-api/codex/alpha/search", "openai_responses"),
        ("/v1/messages/batches", "anthropic"),
        ("/anthropic/v1/complete", "anthropic"),
        ("/v1beta/models/x:predict", "gemini"),
        ("/v1internal:fetchUserInfo", "gemini"),
        ("/v1beta/openai/files", "openai_chat"),
        ("/v1beta/interactions", "gemini"),
    ],
)
def test_what_is_not_there_is_refused_in_the_words_of_its_prefix(path: str, wire: str) -> None:
    with pytest.raises(UnknownRoute) as raised:
        find(path, "POST", {})
    assert raised.value.status == 404
    assert dialect(path, {}) == wire


def test_the_index_lists_every_route_once() -> None:
    endpoints = routes.endpoints()
    assert "POST /v1/chat/completions" in endpoints
    assert "GET /v1beta/models/{model}" in endpoints
    assert len(endpoints) == len(set(endpoints))
