"""Claude Code as an upstream: takes a Messages request, and lets the account's own CLI make it.

The answer is the Messages API's: its stream events as the CLI prints them, or one JSON object put together from them,
with the status and the usage windows that the CLI tells of.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from auth.cli.confine import boxed
from auth.cli.install import CLAUDE, CliMissing, Installed, find, version_of
from auth.cli.process import CliProcess, Ended
from proxy.errors import Broken, Silent, Unreachable
from proxy.hub.residue import JsonObject
from proxy.upstream.base import Call, CliAccount
from proxy.upstream.claude_home import HOME, furnish
from proxy.upstream.claude_lines import End, Fault, Frame
from proxy.upstream.claude_process import FLAGS, Asked, ClaudeProcess, variables
from proxy.upstream.claude_request import ClaudeRequest, Unanswerable, digest, goes_on, read
from proxy.upstream.cli_choice import Home, Kept, Seats, Wish
from proxy.upstream.cli_login import bearer
from proxy.upstream.cli_pool import Busy, Claim, CliPool
from proxy.upstream.cli_sessions import Sessions
from proxy.upstream.cli_traces import CliTraces
from proxy.upstream.cli_worker import Kind

NAME = "claude-code"
VERSION_MIN = (2, 1, 328)
"""The first that is known to have every switch of `claude_process`, and to heed it."""
SEAT_SECONDS_MAX = 30.0
"""For a process to come free."""
LIMITS_SECONDS = 300.0
_TRUST = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR")
_JSON = "application/json"
_SSE = "text/event-stream"


class ClaudeCode:
    """`proxy.upstream.base.Upstream`. `data`: the auth-dir. `ours`: the environment to take from."""

    def __init__(self, pool: CliPool, *, data: Path, traces: CliTraces, ours: Mapping[str, str]) -> None:
        self._pool = pool
        self._data = data
        self._traces = traces
        self._ours = ours
        self._limits: dict[str, tuple[float, Mapping[str, str]]] = {}
        """By account, what was said last of its usage windows, as headers, and when. The CLI says it behind an answer,
        so the next one tells it.
        """
        self._sessions = Sessions(traces.state)
        self._versions: dict[tuple[str, int], str] = {}
        """By program, and when it was last changed."""
        self._ways: dict[str, tuple[str, str]] = {}
        """By variant, what is said to a process when it is started, and never again: by which egress proxy it asks,
        and with which token.
        """
        self._kind = Kind(name=NAME, start=self._start, seats=Seats(), has_spares=True)

    async def send(self, call: Call) -> WholeAnswer | StreamedAnswer:
        if call.operation != "generate":
            return _refused(Fault(501, "not_found_error", f"Claude Code does not do this: {call.operation}"))
        if call.account is None or call.account.home is None:
            raise Unreachable("the login has no home, so its CLI cannot be started", code="no_home")
        try:
            request = read(call.body, _betas(call))
        except (Unanswerable, msgspec.DecodeError) as error:
            return _refused(Fault(400, "invalid_request_error", str(error)))
        is_kept = call.is_resuming and bool(call.session)
        if is_kept and not request.has_history:
            request = request.after(await self._sessions.said(call.session))
        try:
            claim = await self._claim(call, call.account, request)
        except Busy as error:
            return _refused(Fault(429, "rate_limit_error", str(error)), {"retry-after": "1"})

        def remember(answer: JsonObject) -> None:
            if is_kept:
                self._sessions.keep(call.session, (*request.messages, answer))

        exchange = Exchange(claim, request, seconds=call.deadlines.head, remember=remember)
        answer: WholeAnswer | StreamedAnswer | None = None
        try:
            answer = await self._answered(exchange, call.account)
        finally:
            if answer is None:
                exchange.give_up()
        return answer

    async def close(self) -> None:
        """After the pool, which ends the processes."""
        await self._sessions.close()

    async def _claim(self, call: Call, account: CliAccount, request: ClaudeRequest) -> Claim[ClaudeProcess]:
        def accepts(kept: Kept) -> bool:
            return goes_on(request, len(kept.said), _calls(kept))

        way = (call.proxy_url or "", bearer(call))
        home = Home(kind=NAME, account=account.id, variant=_variant(*way))
        self._ways[home.variant] = way
        wish = Wish(
            home=home,
            session=call.session,
            terms=request.terms,
            said=request.said,
            accepts=accepts,
        )
        return await self._pool.claim(self._kind, account, wish, seconds=SEAT_SECONDS_MAX)

    async def _answered(self, exchange: Exchange, account: CliAccount) -> WholeAnswer | StreamedAnswer:
        await exchange.ask()
        first = await exchange.next()
        if not exchange.request.is_stream:
            while isinstance(first, Frame):
                first = await exchange.next()
        if isinstance(first, Fault):
            if not first.status:
                raise Broken(first.message, code="cut")
            return _refused(first, self._windows(account))
        headers = self._windows(account)
        if isinstance(first, End):
            return WholeAnswer(200, {"content-type": _JSON, **headers}, exchange.whole)
        return StreamedAnswer(exchange, first, {"content-type": _SSE, **headers})

    def _windows(self, account: CliAccount) -> Mapping[str, str]:
        """Told once, and only while it is news."""
        at, limits = self._limits.pop(account.id, (0.0, {}))
        return limits if asyncio.get_running_loop().time() - at < LIMITS_SECONDS else {}

    async def _start(self, account: CliAccount, variant: str) -> ClaudeProcess:
        assert account.home is not None
        proxy_url, access = self._ways[variant]
        if proxy_url and not proxy_url.startswith(("http://", "https://")):
            raise Unreachable("Claude Code takes an http:// or https:// egress proxy only", code="egress_proxy")
        installed = await self._checked()
        try:
            work, place = self._traces.make(), self._traces.empty()
        except OSError as error:
            raise Unreachable(f"Claude Code has no place to work in: {error.strerror}", code="cli_start") from error
        try:
            process = await CliProcess.start(
                self._boxed(installed, place, work),
                home=work / HOME,
                variables=variables(await furnish(work, account.home, access), work, proxy_url),
                ours=self._ours,
                work=place,
            )
        except (Ended, OSError, ValueError) as error:
            self._traces.remove(work)
            raise Unreachable(f"Claude Code cannot be started: {error}", code="cli_start") from error
        self._traces.mark(work, process.pid)

        def note(limits: Mapping[str, str]) -> None:
            self._limits[account.id] = (asyncio.get_running_loop().time(), limits)

        return ClaudeProcess(process, work=work, traces=self._traces, on_limits=note)

    def _boxed(self, installed: Installed, place: Path, work: Path) -> list[str]:
        """With what the operator's environment names to say whom TLS trusts."""
        authorities = [Path(self._ours[name]) for name in _TRUST if self._ours.get(name)]
        programs = [Path(each).resolve() for each in installed.command]
        return boxed([*installed.command, *FLAGS], runs=programs, reads=[place, *authorities], writes=[work])

    async def _checked(self) -> Installed:
        """The CLI, where it is one that can be trusted. A new one is looked at once."""
        try:
            installed = find(CLAUDE, self._data, self._ours)
            known = _known(installed.command[-1])
            if known not in self._versions:
                scratch = self._traces.make()
                try:
                    self._versions[known] = await version_of(installed, scratch, self._ours)
                finally:
                    self._traces.remove(scratch)
        except CliMissing as error:
            raise Unreachable(str(error), code="cli_missing") from error
        if (why := outdated(self._versions[known])) is not None:
            raise Unreachable(why, code="cli_outdated")
        return installed


def _known(program: str) -> tuple[str, int]:
    return program, Path(program).stat().st_mtime_ns


def outdated(version: str) -> str | None:
    """Why a version is not used."""
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:3])
    if numbers >= VERSION_MIN:
        return None
    least = ".".join(map(str, VERSION_MIN))
    return (
        f"Claude Code {version} is too old to serve other clients: it is not known to keep its hands off this machine "
        f"when it is told to, as {least} is; get that with: proxy cli install claude"
    )


class Exchange:
    """One request with one process. What becomes of the process is settled when its answer ends. `remember`: told the
    answer, if it came to its end.
    """

    def __init__(
        self,
        claim: Claim[ClaudeProcess],
        request: ClaudeRequest,
        *,
        seconds: float,
        remember: Callable[[JsonObject], None],
    ) -> None:
        self.request = request
        self._claim = claim
        self._seconds = seconds
        self._remember = remember
        self._asked: Asked | None = None
        self._is_over = False

    @property
    def whole(self) -> bytes:
        assert self._asked is not None
        return msgspec.json.encode(self._asked.turn.message.whole())

    async def ask(self) -> None:
        """Raises an `UpstreamError`."""
        worker, kept = self._claim.worker, self._claim.kept
        try:
            async with asyncio.timeout(self._seconds):
                if kept is None:
                    self._asked = await worker.begin(self.request)
                else:
                    self._asked = await worker.go_on(self.request, len(kept.said), _calls(kept))
        except TimeoutError:
            raise Silent("Claude Code did not come to ask", code="head_timeout") from None

    async def next(self) -> Frame | Fault | End:
        """Raises `Silent` or `Broken`."""
        assert self._asked is not None
        try:
            async with asyncio.timeout(self._seconds):
                told = await self._asked.told()
        except TimeoutError:
            raise Silent("Claude Code fell silent", code="idle_timeout") from None
        if isinstance(told, Fault):
            self._settle(None)
        elif isinstance(told, End):
            self._settle(told)
        return told

    def next_at_once(self) -> Frame | None:
        """What is there already, if it is a frame."""
        assert self._asked is not None
        return self._asked.frame_at_once()

    def _settle(self, end: End | None) -> None:
        assert self._asked is not None
        self._is_over = True
        if end is None or end.ending == "spoiled":
            self._claim.drop()
            return
        message = self._asked.turn.message
        answer: JsonObject = {"role": "assistant", "content": [*message.content()]}
        self._claim.keep(said=(*self.request.said, digest(answer)), note=tuple(message.calls))
        self._remember(answer)

    def give_up(self) -> None:
        """Nobody waits for the rest."""
        if not self._is_over:
            self._is_over = True
            self._claim.worker.interrupt()
            self._claim.drop()


class WholeAnswer:
    """`proxy.upstream.base.Answer`, all there."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = CIMultiDictProxy(CIMultiDict(headers))
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self, bytes_max: int) -> bytes:
        if len(self._body) > bytes_max:
            raise Broken(f"Claude Code gave more than {bytes_max} bytes", code="too_long")
        return self._body

    async def release(self) -> None:
        """Nothing is held."""

    def abort(self) -> None:
        """Nothing is held."""


class StreamedAnswer:
    """`proxy.upstream.base.Answer`, whose first event has come."""

    def __init__(self, exchange: Exchange, first: Frame, headers: Mapping[str, str]) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = CIMultiDictProxy(CIMultiDict(headers))
        self._exchange = exchange
        self._first = first

    async def chunks(self) -> AsyncIterator[bytes]:
        told: Frame | Fault | End = self._first
        try:
            while isinstance(told, Frame):
                pieces = [told.data]
                while (more := self._exchange.next_at_once()) is not None:
                    pieces.append(more.data)
                yield b"".join(pieces)
                told = await self._exchange.next()
            if isinstance(told, Fault):
                yield told.frame
        finally:
            self._exchange.give_up()

    async def read(self, bytes_max: int) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > bytes_max:
                raise Broken(f"Claude Code gave more than {bytes_max} bytes", code="too_long")
        return bytes(body)

    async def release(self) -> None:
        self._exchange.give_up()

    def abort(self) -> None:
        self._exchange.give_up()


def _calls(kept: Kept) -> tuple[str, ...]:
    return kept.note if isinstance(kept.note, tuple) else ()


def _refused(fault: Fault, headers: Mapping[str, str] | None = None) -> WholeAnswer:
    return WholeAnswer(fault.status, {"content-type": _JSON, **(headers or {})}, fault.body)


def _betas(call: Call) -> str:
    return next((value for name, value in call.headers if name.lower() == "anthropic-beta"), "")


def _variant(proxy_url: str, access: str) -> str:
    return hashlib.sha256(f"{proxy_url}\0{access}".encode()).hexdigest()[:16]
