"""The call to a provider: its address, our own honest headers, the credential's."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from proxy.dispatch.decision import Candidate
from proxy.providers.base import USER_AGENT, Operation
from proxy.upstream.base import Call

_VERSIONS = ("/v1beta", "/v1")
"""Operators write base URLs with and without them."""


def call_for(
    candidate: Candidate, operation: Operation, body: bytes, *, is_stream: bool, client: Mapping[str, str]
) -> Call:
    """`client`: the client's headers, of which those go on that the provider is known to read; empty in a translation.

    What a credential's own `headers` say beats all the others.
    """
    provider, credential = candidate.provider, candidate.credential
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if is_stream else "application/json",
        "user-agent": USER_AGENT,
    }
    headers.update(provider.headers)
    if provider.forwarded and client:
        headers.update({name: client[name] for name in provider.forwarded if name in client})
    headers.update(provider.authorize(credential))
    if credential.headers:
        headers.update({name.lower(): value for name, value in credential.headers.items()})
    proxy_url = credential.proxy_url
    return Call(
        method="POST",
        url=address(candidate, operation, is_stream=is_stream),
        headers=tuple(headers.items()),
        body=body,
        proxy_url=None if proxy_url in {None, "", "direct", "none"} else proxy_url,
    )


def address(candidate: Candidate, operation: Operation, *, is_stream: bool) -> str:
    endpoint = candidate.provider.endpoints[operation]
    path = endpoint.stream_path if is_stream and endpoint.stream_path else endpoint.path
    base = candidate.credential.base_url or candidate.provider.base_url
    for version in _VERSIONS:
        if base.endswith(version) and path.startswith(f"{version}/"):
            base = base.removesuffix(version)
            break
    return base + path.replace("{model}", quote(candidate.model, safe="@:~"))
