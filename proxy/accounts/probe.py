"""Does an account work? One request that costs nothing: a list of models, or a count of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from auth.credential import Credential
from proxy.dispatch.decision import Candidate
from proxy.dispatch.outgoing import address
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import UpstreamError
from proxy.observe.scrub import Scrubber
from proxy.providers.base import USER_AGENT, Provider
from proxy.upstream.base import Answer, Call, Deadlines, Upstream

LISTS: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "/v1/models?limit=1",
        "openai_chat": "/models",
        "openai_responses": "/models",
        "gemini": "/v1beta/models?pageSize=1",
    }
)
"""Wire → where models are listed, behind the base URL."""
LISTLESS = frozenset({"vertex", "vertex-account"})
BYTES_MAX = 4 * 1024 * 1024
REASON_CHARACTERS_MAX = 300
_DEADLINES = Deadlines(head=30.0, idle=30.0, total=60.0)
_COUNT_BODY = b'{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}'


def call_of(provider: Provider, credential: Credential) -> Call:
    headers = {"user-agent": USER_AGENT, "accept": "application/json", **dict(provider.headers)}
    headers.update(provider.authorize(credential))
    headers.update({name.lower(): value for name, value in credential.headers.items()})
    path = "" if provider.name in LISTLESS else LISTS[provider.wire]
    if path:
        base, method, body = credential.base_url or provider.base_url, "GET", b""
        version = path[: path.index("/", 1)] if path.count("/") > 1 else ""
        url = base.removesuffix(version) + path
    else:
        model = next(iter(credential.models.values()), (provider.models[0].id,))[0]
        url, method, body = (
            address(Candidate(provider, credential, model), "count_tokens", is_stream=False),
            "POST",
            _COUNT_BODY,
        )
        headers["content-type"] = "application/json"
    return Call(
        method=method,
        url=url,
        headers=tuple(headers.items()),
        body=body,
        proxy_url=None if credential.proxy_url in {None, "", "direct", "none"} else credential.proxy_url,
        deadlines=_DEADLINES,
    )


async def probe_account(snapshot: Snapshot, credential_id: str, upstream: Upstream) -> tuple[bool, str]:
    """The same of an account of a running server."""
    credential = next(each for each in snapshot.credentials if each.id == credential_id)
    provider = next(each for each in snapshot.providers if each.name == credential.provider)
    if provider.own_cli and provider.channel:
        return False, "is a login, which is tested through its own CLI: proxy accounts test"
    if provider.executor != "http":
        return True, "works: it is simulated"
    return await probe(upstream, provider, credential)


async def probe(upstream: Upstream, provider: Provider, credential: Credential) -> tuple[bool, str]:
    """Whether it works, and a sentence that says so or why not."""
    try:
        answer = await upstream.send(call_of(provider, credential))
    except UpstreamError as error:
        return False, error.message
    try:
        raw = await answer.read(BYTES_MAX)
    except UpstreamError as error:
        return False, error.message
    finally:
        await answer.release()
    works, why = _verdict(answer, raw)
    return works, Scrubber([credential.secret] if credential.secret else []).text(why)


def _verdict(answer: Answer, raw: bytes) -> tuple[bool, str]:
    match answer.status:
        case 200:
            return True, "works: the provider takes it"
        case 401 | 403:
            return False, f"is refused by the provider ({answer.status}): {_reason(raw)}"
        case 429:
            return True, f"is known to the provider, and limited at the moment (429): {_reason(raw)}"
        case 404 | 405:
            return False, f"cannot be tested: the provider has no list of models at its address ({answer.status})"
        case status:
            return False, f"is not answered as it should be ({status}): {_reason(raw)}"


def _reason(raw: bytes) -> str:
    """The provider's own words, in any of their shapes."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no reason given"
    while isinstance(found, dict):
        found = found.get("error", found.get("message", found.get("detail")))
    text = found if isinstance(found, str) else "no reason given"
    return "".join(character for character in text if character.isprintable())[:REASON_CHARACTERS_MAX]
