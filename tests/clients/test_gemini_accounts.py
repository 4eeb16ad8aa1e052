"""Gemini CLI before accounts of its kind: what it says reaches Code Assist in their name and for their project."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.dispatch.frames import payloads
from proxy.observe.recording import Frame, Recording, Request
from proxy.upstream.replay_server import ReplayServer
from tests.clients import test_gemini
from tests.clients.answers import Say, exhausted
from tests.clients.logins import log_in
from tests.clients.scenes import ANSWER, AWAY_SECONDS, CARGO, check_own_request, reads, run_arguments
from tests.clients.stage import MODELS, Stage
from tests.clients.upstream import Asked, Upstream
from tests.logins.vendor import _certified

HOST = "cloudcode-pa.googleapis.com"
CLI = test_gemini.TestGemini.cli


class CodeAssist:
    """`ReplayServer`'s deck: `upstream`, in envelopes. `asked`: what came in them, as it came."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.asked: list[Request] = []

    def draw(self, request: Request) -> Recording | None:
        assert request.path == "/v1internal:streamGenerateContent"
        self.asked.append(request)
        envelope = msgspec.json.decode(request.body)
        path = f"/gemini/v1beta/models/{envelope['model']}:streamGenerateContent"
        recording = self.upstream.draw(replace(request, path=path, body=msgspec.json.encode(envelope["request"])))
        assert recording is not None
        response = recording.response
        if response.status >= 400:
            return recording
        told = [value for frame in response.frames for value in payloads(frame.data)]
        frames = tuple(Frame(data=b'data: {"response":%b}\r\n\r\n' % each) for each in told)
        return replace(recording, response=replace(response, frames=frames))


def login(account: str) -> bytes:
    return msgspec.json.encode({
        "access_token": f"ya29.{account}", "refresh_token": account, "token_type": "Bearer",
        "scope": "https://www.googleapis.com/auth/cloud-platform openid", "expiry_date": int(time.time() + 3000) * 1000,
    })  # fmt: skip


@pytest.fixture
async def google(stage: Stage) -> AsyncIterator[CodeAssist]:
    google = CodeAssist(stage.upstream)
    stage.furniture, stage.outsiders = test_gemini.TestGemini.home, test_gemini.TestGemini.outsiders
    async with ReplayServer(google, pace=0, tls=_certified(stage.folder)) as server:
        stage.outside.ways[HOST] = server.port
        stage.authority = stage.folder / "authority.pem"
        stage.settings = {"proxy-url": stage.outside.url, "routing": {"strategy": "fill-first"}}
        for number, account in enumerate(("harbour", "quay")):
            files = {".gemini/oauth_creds.json": login(account)}
            more = {"project-id": f"project-of-{account}"}
            log_in(stage.folder / "auth", "gemini-cli", account, number, files, **more)
        await stage.open()
        (stage.work / "manifest.txt").write_text(f"{CARGO}\n")
        yield google


def envelope(request: Request) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(request.body)
    return told


async def test_the_account_and_the_project_are_others_and_nothing_else(stage: Stage, google: CodeAssist) -> None:
    stage.upstream.in_turn(reads(CLI, stage), Say(ANSWER))
    ran = await stage.run(*run_arguments(CLI, stage, "gemini", url=stage.tap.url))
    assert (ran.code, ANSWER in ran.out) == (0, True), ran
    said = [each for each in stage.tap.said() if ":streamGenerateContent" in each.target]
    assert len(said) == len(google.asked) == 2
    for one, asked in zip(said, google.asked, strict=True):
        assert envelope(asked)["project"] == "project-of-harbour"
        own = one.body.replace(b'"project":"proxy"', b'"project":"project-of-harbour"')
        replaced = {"authorization": "Bearer ya29.harbour", "x-goog-api-key": ""}
        sent = Asked("gemini", MODELS["gemini"], True, False, asked, envelope(asked))
        check_own_request(replace(one, body=own), sent, replaced)


async def test_with_another_account_goes_another_project(stage: Stage, google: CodeAssist) -> None:
    stage.upstream.in_turn(reads(CLI, stage), exhausted("gemini", AWAY_SECONDS), Say(ANSWER))
    ran = await stage.run(*run_arguments(CLI, stage, "gemini"))
    assert (ran.code, ANSWER in ran.out) == (0, True), ran
    paid = [(dict(each.headers)["authorization"], envelope(each)["project"]) for each in google.asked]
    assert paid == [
        ("Bearer ya29.harbour", "project-of-harbour"),
        ("Bearer ya29.harbour", "project-of-harbour"),
        ("Bearer ya29.quay", "project-of-quay"),
    ]
