"""Golden translations: one file per case, ``<client>-to-<upstream>/<kind>.<name>[@<model>].txt``.

A file is what comes in, a line of dashes, what goes out, a line of dashes, and the losses, one a line. The kinds:

* ``request``: the client's body → the upstream's. `model` is whose profile counts (`proxy.providers.profiles`); without
  one the upstream can do whatever its wire says.
* ``answer``: the upstream's whole answer → the client's.
* ``stream``: the same as server-sent events (written with bare line feeds).
* ``error``: the upstream's ``{status, headers, body}`` → the client's ``{status, body}``.

``.venv/bin/python -m tests.golden.renew`` writes the second and third sections anew. Read what it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.providers.profiles import profile_of
from proxy.wire.base import Reply, Wire
from proxy.wire.table import wire_named
from tests.laws.targets import able

FOLDER = Path(__file__).parent
DASHES = "-" * 40
FAMILIES = {
    "anthropic": "anthropic",
    "openai_chat": "openai_compatible",
    "openai_responses": "openai",
    "gemini": "gemini",
}


class Golden(NamedTuple):
    path: Path
    client: Wire
    upstream: Wire
    kind: str
    profile: Profile
    given: str

    @property
    def text(self) -> str:
        """The whole file, as it is to be."""
        told, losses = KINDS[self.kind](self)
        return "\n".join([self.given, DASHES, told, DASHES, *map(str, losses)]).rstrip("\n") + "\n"


def goldens() -> Iterator[Golden]:
    for path in sorted(FOLDER.glob("*-to-*/*.txt")):
        yield golden(path)


def golden(path: Path) -> Golden:
    client, _, upstream = path.parent.name.partition("-to-")
    kind, _, rest = path.stem.partition(".")
    wire = wire_named(upstream)
    model = rest.partition("@")[2]
    profile = profile_of(FAMILIES[upstream], model) if model else able(wire)
    given = path.read_text().partition(f"\n{DASHES}\n")[0].rstrip("\n")
    return Golden(path, wire_named(client), wire, kind, profile, given)


def _request(case: Golden) -> tuple[str, tuple[Loss, ...]]:
    request = case.client.parse_request(msgspec.json.decode(case.given), model="a-model")
    try:
        rendered = case.upstream.render_request(request, case.profile)
    except Untranslatable as refusal:
        return pretty({"refused": refusal.message, "path": refusal.path}), ()
    return pretty(rendered.body), rendered.losses


def _reply() -> Reply:
    return Reply(model="a-model", request_id="r1", created=1_700_000_000)


def _answer(case: Golden) -> tuple[str, tuple[Loss, ...]]:
    response = case.upstream.parse_response(msgspec.json.decode(case.given), maker=case.profile.maker)
    rendered = case.client.render_response(response, _reply())
    return pretty(rendered.body), rendered.losses


def _stream(case: Golden) -> tuple[str, tuple[Loss, ...]]:
    parser = case.upstream.stream_parser(maker=case.profile.maker)
    renderer = case.client.stream_renderer(_reply())
    events = [*parser.feed(case.given.encode() + b"\n\n"), *parser.finish()]
    told = b"".join(renderer.feed(event) for event in events) + renderer.finish()
    return told.decode().replace("\r\n", "\n").rstrip("\n"), tuple(renderer.losses)


def _error(case: Golden) -> tuple[str, tuple[Loss, ...]]:
    given: Any = msgspec.json.decode(case.given)
    body = given["body"] if isinstance(given["body"], str) else msgspec.json.encode(given["body"]).decode()
    failure = case.upstream.parse_error(given["status"], given.get("headers", {}), body.encode())
    told = {"status": failure.status, "body": case.client.render_error(failure)}
    if failure.retry_after_seconds is not None:
        told["retry_after_seconds"] = failure.retry_after_seconds
    return pretty(told), ()


KINDS: Mapping[str, Callable[[Golden], tuple[str, tuple[Loss, ...]]]] = {
    "request": _request,
    "answer": _answer,
    "stream": _stream,
    "error": _error,
}


def pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
