from __future__ import annotations

from typing import Any

from proxy.wire.table import WIRES

BODY = {"model": "sandbox-gpt", "messages": [{"role": "user", "content": "x"}]}


async def test_a_dry_run_changes_nothing(stage: Any) -> None:
    body = {"model": "sandbox-gpt", "messages": [{"role": "user", "content": "x"}], "stream": True}
    first = (await stage.ask("POST", "/explain", body)).json
    assert first["chosen"]["provider"] == "sandbox-gpt"
    assert {each["why"] for each in first["passed_over"]} == {"ready: not its turn"}
    assert (await stage.ask("POST", "/explain", body)).json["chosen"] == first["chosen"]
    assert (await stage.get("/decisions"))["decisions"] == []
    assert not (stage.accounts / "logs" / "audit.log").exists()


async def test_what_was_decided_for_a_request_can_be_asked_later(stage: Any) -> None:
    await stage.chat(X_Request_ID="mine-1")
    told = await stage.get("/explain/mine-1")
    assert told["request_id"] == "mine-1"
    decision = told["decisions"][0]
    assert abs(decision["at"] - stage.house.clock.unix()) < 60
    newest = (await stage.get("/decisions?limit=1"))["decisions"][0]
    assert newest == {"request_id": "mine-1", **decision}
    assert (told["request"]["request_id"], told["request"]["status"]) == ("mine-1", 200)
    assert (await stage.ask("GET", "/explain/nobody")).status == 404


async def test_the_ledger_remembers_longer_than_the_decisions(open_stage: Any) -> None:
    async with open_stage("") as stage:
        await stage.chat(X_Request_ID="mine-1")
    async with open_stage("") as stage:
        told = await stage.get("/explain/mine-1")
        assert told["decisions"] == []
        (attempt,) = told["request"]["attempts"]
        assert (attempt["provider"], attempt["status"]) == ("sandbox-gpt", 200)


async def test_bodies_of_any_format(stage: Any) -> None:
    contents = [{"role": "user", "parts": [{"text": "x"}]}]
    for path, body in (
        ("/explain?model=sandbox-gemini", {"contents": contents}),
        ("/explain", {"model": "sandbox-gemini", "input": "x"}),
        ("/explain", {"model": "sandbox-gemini", "max_tokens": 5, "messages": BODY["messages"]}),
        *((f"/explain?wire={wire.name}", {"model": "sandbox-gemini"}) for wire in WIRES),
        ("/explain?model=sandbox-gemini", {}),
    ):
        assert (await stage.ask("POST", path, body)).json["chosen"]["model"] == "sandbox-gemini"


async def test_what_cannot_be_explained(stage: Any) -> None:
    unheard = {"model": "sandbox-gemini", "messages": []}  # its client would be told so, too
    for body, status in (({}, 400), ([], 400), ({"model": 7}, 400), ({"model": "no-such-model"}, 404), (unheard, 400)):
        assert (await stage.ask("POST", "/explain", body)).status == status
    assert (await stage.ask("POST", "/explain?wire=telex", {"model": "sandbox-gpt"})).status == 400


async def first_account(stage: Any, request_id: str) -> str:
    told = await stage.get(f"/explain/{request_id}")
    return str(told["decisions"][0]["chosen"]["account"])


async def test_a_dry_run_knows_whose_conversation_it_is(open_stage: Any) -> None:
    body = BODY
    keys = "api-keys: [{name: ann, api-key: the-key-of-ann-1}, {name: bob, api-key: the-key-of-bob-1}]\n"
    async with open_stage(keys) as stage:
        ann = {"Authorization": "Bearer the-key-of-ann-1", "X_Session_Id": "s-1"}
        for number in range(4):
            answer = await stage.ask(
                "POST", "/v1/chat/completions", body, key=None, base="", X_Request_ID=f"r-{number}", **ann
            )
            assert answer.status == 200
            told = (await stage.ask("POST", "/explain?key=ann", body, X_Session_Id="s-1")).json
            assert (told["rule"], told["chosen"]["account"]) == ("affinity", await first_account(stage, f"r-{number}"))
        for path, headers in (("/explain?key=bob", {"X_Session_Id": "s-1"}), ("/explain?key=ann", {})):
            assert (await stage.ask("POST", path, body, **headers)).json["rule"] == "round-robin"
        said = {**body, "metadata": {"session_id": "s-1"}}
        assert (await stage.ask("POST", "/explain?key=ann", said)).json["rule"] == "affinity"
        assert (await stage.ask("POST", "/explain?key=nobody", body)).status == 404


async def test_a_dry_run_heeds_what_headers_ask_for(open_stage: Any) -> None:
    body = BODY
    async with open_stage("own-provider-keys: true\n") as stage:
        everybody = (await stage.ask("POST", "/explain", body)).json
        other = everybody["passed_over"][0]["label"]
        wished = (await stage.ask("POST", "/explain", body, X_Proxy_Account=other)).json
        assert (wished["chosen"]["label"], wished["passed_over"]) == (other, [])
        own = {**body, "model": "gpt-5.5"}
        told = await stage.ask("POST", "/explain", own, X_OpenAI_API_Key="sk-a-key-of-the-client-0001")
        assert told.json["chosen"]["label"] == "the client's own key"
        assert b"a-key-of-the-client" not in told.body
        assert (await stage.ask("POST", "/explain", own)).status == 404
        assert (await stage.ask("POST", "/explain", body, X_Proxy_Account=",")).status == 400


async def test_a_dry_run_goes_on_with_a_kept_answer(stage: Any) -> None:
    first = await stage.ask(
        "POST", "/v1/responses", {"model": "sandbox-gpt", "input": "x"}, key=None, base="", X_Request_ID="r-1"
    )
    assert first.status == 200
    on = {"model": "sandbox-gpt", "input": "y", "previous_response_id": first.json["id"]}
    told = (await stage.ask("POST", "/explain?wire=openai_responses", on)).json
    answer = await stage.ask("POST", "/v1/responses", on, key=None, base="", X_Request_ID="r-2")
    assert answer.status == 200
    assert told["chosen"]["account"] == await first_account(stage, "r-2")


async def test_counting_asks_nobody_where_it_is_estimated(stage: Any) -> None:
    told = await stage.ask("POST", "/explain?operation=count_tokens", BODY)
    assert told.status == 200
    assert (told.json["chosen"] is None) == (told.json["rule"] == "estimate")


async def test_a_form_is_a_body_too_and_a_large_one_is_none_too_many(open_stage: Any) -> None:
    parts = (b'name="model"\r\n\r\nwhisper-1', b'name="file"; filename="a.wav"\r\n\r\n' + bytes(100_000))
    form = b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"
    headers = {"Content_Type": "multipart/form-data; boundary=x", "X_OpenAI_API_Key": "sk-a-key-of-the-client-0001"}
    async with open_stage("own-provider-keys: true\n") as stage:
        told = await stage.ask("POST", "/explain?operation=transcribe", form, **headers)
        assert (told.status, told.json["chosen"]["model"]) == (200, "whisper-1")
        torn = await stage.ask("POST", "/explain?operation=transcribe", b"--x\r\ntorn", **headers)
        assert (torn.status, "form" in torn.json["error"]) == (400, True)
        large = {"model": "sandbox-gpt", "messages": [{"role": "user", "content": "x" * 3_000_000}]}
        assert (await stage.ask("POST", "/explain", large)).json["chosen"] is not None


async def test_a_dry_run_tells_what_the_keys_terms_say(open_stage: Any) -> None:
    keys = """api-keys:
  - {name: ann, api-key: the-key-of-ann-1, networks: [10.0.0.0/8], requests-per-minute: 1}
  - {name: bob, api-key: the-key-of-bob-1, expires: 2026-01-31}
  - {name: eve, api-key: the-key-of-eve-1, models: [sandbox-claude]}
limits: {ip: {requests-per-minute: 1}}
"""
    async with open_stage(keys) as stage:
        told = (await stage.ask("POST", "/explain?key=ann", BODY)).json
        assert told["chosen"]["provider"] == "sandbox-gpt", "of networks nothing is said without an address"
        assert (told["key"]["networks"], told["key"]["limits"]["requests-per-minute"]) == (["10.0.0.0/8"], 1)
        away = (await stage.ask("POST", "/explain?key=ann&address=192.0.2.7", BODY)).json
        assert (away["chosen"], away["rule"], away["passed_over"], away["returns_at"]) == (None, "refused", [], None)
        assert away["refusal"] == {
            "status": 403,
            "kind": "permission",
            "code": "address_not_allowed",
            "message": "this client key may not be used from 192.0.2.7",
        }
        assert (await stage.ask("POST", "/explain?key=ann&address=10.1.2.3", BODY)).json["chosen"] is not None
        late = (await stage.ask("POST", "/explain?key=bob", BODY)).json["refusal"]
        assert (late["status"], late["code"]) == (401, "expired_api_key")
        other = (await stage.ask("POST", "/explain?key=eve", BODY)).json["refusal"]
        assert (other["status"], other["code"]) == (404, "model_not_found")
        assert "is for sandbox-claude only" in other["message"]
        assert (await stage.ask("POST", "/explain?address=here", BODY)).status == 400


async def test_a_dry_run_tells_when_a_limit_has_room_again(open_stage: Any) -> None:
    keys = "api-keys: [{name: ann, api-key: the-key-of-ann-1, requests-per-minute: 1, budgets: [{tokens: 9000}]}]\n"
    async with open_stage(keys) as stage:
        assert (await stage.chat(x_api_key="the-key-of-ann-1")).status == 200
        told = (await stage.ask("POST", "/explain?key=ann", BODY)).json
        assert (told["refusal"]["status"], told["refusal"]["code"]) == (429, "client_rate_limit")
        assert 0 < told["returns_at"] - told["at"] <= 61
        assert (told["key"]["last_minute"]["requests"], told["key"]["balances"][0]["limit"]) == (1, 9000)
        large = {"model": "sandbox-gpt", "messages": [{"role": "user", "content": "x " * 40_000}]}
        over = (await stage.ask("POST", "/explain?key=ann", large)).json["refusal"]
        assert (over["kind"], over["code"]) == ("quota", "client_budget_exhausted")


async def test_of_several_workers_a_dry_run_says_whose_turn_it_tells(open_stage: Any) -> None:
    async with open_stage("workers: 2\n") as stage:
        told = (await stage.ask("POST", "/explain", BODY)).json
        assert told["note"] == "each of the 2 workers takes turns of its own: this is the owner's"
    async with open_stage("") as stage:
        assert "note" not in (await stage.ask("POST", "/explain", BODY)).json
