"""The call to a provider: its address, our own honest headers or an official CLI's own, and the credential's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from multidict import CIMultiDict

from auth.credential import Credential
from proxy.dispatch.decision import Candidate
from proxy.dispatch.genuine import is_genuine, own_headers, with_query
from proxy.providers.base import USER_AGENT, Operation, Provider
from proxy.upstream.base import Call, CliAccount

_VERSIONS = ("/v1beta", "/v1")
"""Operators write base URLs with and without them."""
_NOTHING: Mapping[str, str] = MappingProxyType({})
Headers = tuple[tuple[str, str], ...]


def call_for(
    candidate: Candidate,
    operation: Operation,
    body: bytes,
    *,
    is_stream: bool,
    client: Mapping[str, str],
    query: Mapping[str, str] = _NOTHING,
    envelope: bytes = b"",
) -> Call:
    """`client`: the client's headers, of which those go on that the provider is known to read; all of them, and the
    `query`, where it is the vendor's own CLI; empty in a translation. `envelope`: the client's.

    What a credential's own `headers` say beats all the others.
    """
    provider, credential = candidate.provider, candidate.credential
    is_own = is_genuine(provider, client, envelope)
    if is_own:
        url = with_query(address(candidate, operation, is_stream=is_stream), query)
        headers = _completed(own_headers(client), candidate)
    elif any(name in client for name in provider.forwarded):
        url = address(candidate, operation, is_stream=is_stream)
        headers = _completed(_ours(provider, client, is_stream=is_stream), candidate)
    else:
        url, headers = _prepared(candidate, operation, is_stream=is_stream)
    proxy_url = credential.proxy_url
    is_by_cli = bool(provider.own_cli) and not is_own
    return Call(
        method="POST",
        url=url,
        headers=headers,
        body=body,
        proxy_url=None if proxy_url in {None, "", "direct", "none"} else proxy_url,
        executor=provider.cli_executor if is_by_cli else provider.executor,
        model=candidate.model,
        operation=operation,
        account=_account(credential) if is_by_cli else None,
    )


def _account(credential: Credential) -> CliAccount:
    return CliAccount(id=credential.id, home=credential.home, project=credential.project)


def _prepared(candidate: Candidate, operation: Operation, *, is_stream: bool) -> tuple[str, Headers]:
    """The same for every call to which the client adds nothing: made once a reload (2.5 µs; found again in 0.1)."""
    key = (operation, is_stream)
    prepared = candidate.prepared.get(key)
    if prepared is None:
        headers = _completed(_ours(candidate.provider, _NOTHING, is_stream=is_stream), candidate)
        prepared = candidate.prepared[key] = (address(candidate, operation, is_stream=is_stream), headers)
    return prepared


def _completed(headers: CIMultiDict[str], candidate: Candidate) -> Headers:
    credential = candidate.credential
    headers.update(candidate.provider.authorize(credential))
    headers.update({name.lower(): value for name, value in credential.headers.items()})
    return tuple(headers.items())


def _ours(provider: Provider, client: Mapping[str, str], *, is_stream: bool) -> CIMultiDict[str]:
    headers = CIMultiDict(
        {
            "content-type": "application/json",
            "accept": "text/event-stream" if is_stream else "application/json",
            "user-agent": USER_AGENT,
        }
    )
    headers.update(provider.headers)
    headers.update({name: client[name] for name in sorted(provider.forwarded) if name in client})
    return headers


def address(candidate: Candidate, operation: Operation, *, is_stream: bool) -> str:
    endpoint = candidate.provider.endpoints[operation]
    path = endpoint.stream_path if is_stream and endpoint.stream_path else endpoint.path
    base = candidate.credential.base_url or candidate.provider.base_url
    return located(base, path.replace("{model}", quote(candidate.model, safe="@:~")))


def located(base: str, path: str) -> str:
    for version in _VERSIONS:
        if base.endswith(version) and path.startswith(f"{version}/"):
            return base.removesuffix(version) + path
    return base + path
