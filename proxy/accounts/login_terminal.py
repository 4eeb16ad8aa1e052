"""A login on the terminal: says what to do, opens the browser, takes what is pasted, and ends with one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from auth.cli.install import CliMissing
from auth.flow import Aborted, Done, Enter, Reason, ShowCode, Step, Visit, Waiting
from auth.refusal import Refused
from proxy.accounts.desk import Desk
from proxy.accounts.logins import LoginRun, LoginWish

EXIT_CODES: Mapping[Reason, int] = {
    "failed": 1,
    "declined": 3,
    "wrong_code": 4,
    "wrong_account": 5,
    "timed_out": 6,
    "port_taken": 7,
    "cli_missing": 8,
    "cancelled": 130,
}
_KEPT = "It is kept and listed; no client is served with it."
SERVES: Mapping[str, str] = {
    "claude-code": "It serves Claude Code (proxy run claude), and through its CLI every other client",
    "codex": "It serves Codex (proxy run codex), and through its CLI every other client",
    "gemini-cli": "It serves Gemini CLI (proxy run gemini), and through its CLI every other client",
    "kimi-code": f"{_KEPT} A key serves every client: proxy accounts add moonshot",
    "grok": f"{_KEPT} A key serves every client: proxy accounts add xai",
    "copilot": _KEPT,
    "oidc": "It serves every client: proxy accounts test",
}
LINE_BYTES_MAX = 64 * 1024
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the terminal is, seen from the person's browser."""

    is_remote: bool
    is_container: bool
    has_desktop: bool

    @classmethod
    def of(cls, environment: Mapping[str, str], platform: str = sys.platform) -> Place:
        has_desktop = platform != "linux" or any(
            environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
        )
        return cls(
            is_remote=any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY")),
            is_container=any(mark.exists() for mark in _CONTAINER_MARKS),
            has_desktop=has_desktop,
        )

    @property
    def has_browser(self) -> bool:
        return self.has_desktop and not self.is_remote and not self.is_container


@dataclass(slots=True, kw_only=True)
class Terminal:
    """`tell` takes a line for the person; `open_page` opens it in a browser."""

    desk: Desk
    environment: Mapping[str, str]
    place: Place
    tell: Callable[[str], None]
    open_page: Callable[[str], object] = webbrowser.open
    has_qr: bool = False
    """Addresses are shown as QR codes, too."""
    stdin: int = 0

    def log_in(self, wish: LoginWish) -> int:
        """The exit code."""
        self.tell(wish.kind.notice)
        self.tell("")
        run = LoginRun(desk=self.desk, wish=wish, ours=self.environment, on_step=lambda step: self._show(step, run))
        try:
            step = asyncio.run(self._run(run))
        except CliMissing as error:
            return self._end(str(error), EXIT_CODES["cli_missing"])
        except Refused as error:
            return self._end(str(error), EXIT_CODES["failed"])
        if isinstance(step, Aborted):
            return self._end(step.why, EXIT_CODES[step.reason])
        self._tell_kept(run)
        return 0

    def _end(self, why: str, code: int) -> int:
        self.tell(f"proxy: {why}.")
        return code

    async def _run(self, run: LoginRun) -> Step:
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(run.run())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _cancel, run, running)
        with self._reading(run):
            return await running

    @contextlib.contextmanager
    def _reading(self, run: LoginRun) -> Iterator[None]:
        """What is typed or pasted goes to the login, line by line. Where there is nobody who could, nothing is read."""
        loop = asyncio.get_running_loop()
        lines = _Lines()
        pasting: set[asyncio.Task[bool]] = set()

        def read() -> None:
            piece = os.read(self.stdin, LINE_BYTES_MAX)
            if not piece:
                loop.remove_reader(self.stdin)
            for line in lines.feed(piece):
                if line.strip() and run.login is not None:
                    task = asyncio.ensure_future(run.login.paste(line))
                    pasting.add(task)
                    task.add_done_callback(pasting.discard)

        try:
            with contextlib.suppress(PermissionError):  # a plain file cannot be waited for
                loop.add_reader(self.stdin, read)
            yield
        finally:
            loop.remove_reader(self.stdin)
            for each in pasting:
                each.cancel()

    def _show(self, step: Step, run: LoginRun) -> None:
        match step:
            case Visit():
                self._show_page(step, run)
            case ShowCode(url=url, code=code):
                self.tell(f"Open {url} and type this code:\n\n    {code}\n")
                self.tell(
                    f"Type it on {urlsplit(url).hostname} only: whoever asks you for it elsewhere wants your account."
                )
                self._show_qr(url)
                self._open(url, run.wish)
            case Enter(prompt=prompt, complaint=complaint):
                self.tell(f"{complaint}. {prompt}:")
            case Waiting(for_what=what):
                self.tell(f"Waiting for {what} …")
            case Done(account=account):
                self.tell(f"Logged in as {account}.")
            case Aborted():
                pass  # the last word, said when the login is cleaned up

    def _show_page(self, step: Visit, run: LoginRun) -> None:
        self.tell(f"Sign in with your browser:\n\n{step.url}\n")
        self._show_qr(step.elsewhere or step.url)
        self._open(step.url, run.wish)
        for hint in self._hints(step, run):
            self.tell(hint)
        if step.prompt:
            self.tell(f"{step.prompt}, here, and press Enter:")

    def _show_qr(self, url: str) -> None:
        """For a telephone. Of two addresses the one that needs no way back to this machine."""
        if self.has_qr:
            self.tell(qr_code(url))

    def _open(self, url: str, wish: LoginWish) -> None:
        if wish.has_browser:
            threading.Thread(target=self.open_page, args=(url,), daemon=True).start()  # some browsers stay

    def _hints(self, step: Visit, run: LoginRun) -> Iterator[str]:
        kind, login = run.wish.kind, run.login
        if step.elsewhere:
            yield f"With a browser on another machine, sign in here instead, and paste the code:\n\n{step.elsewhere}\n"
        port = kind.port
        if not kind.needs_cli and login is not None and login.port:
            port = login.port
        if not run.wish.has_browser and port:
            if kind.has_device:
                yield "The browser is on another machine? Then --device is simpler: it needs no way back to this one."
            if self.place.is_remote:
                yield f"Over SSH the way back can be forwarded: ssh -L {port}:127.0.0.1:{port} HOST"
            if self.place.is_container:
                yield "In a container the way back does not work; paste the address that the browser could not open."
        if login is not None and login.port:
            yield f"There is also a box to paste into: http://127.0.0.1:{login.port}/"
        elif login is not None and login.remark:
            yield f"There is no box to paste into, as {login.remark}."

    def _tell_kept(self, run: LoginRun) -> None:
        added = run.added
        assert added is not None
        done = "added" if added.is_new else "was there, and is renewed"
        self.tell(f"{added.file}: {done}. {SERVES[run.wish.kind.name]}")


def qr_code(url: str) -> str:
    """In half blocks: dark on light where the terminal is dark, too, as the quiet zone is drawn."""
    import segno  # noqa: PLC0415 - a megabyte, which a server has no use for

    drawn = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(drawn, compact=True)
    return drawn.getvalue()


def _cancel(run: LoginRun, running: asyncio.Task[Step]) -> None:
    if run.login is not None:
        run.login.cancel()
    else:
        running.cancel()


class _Lines:
    """Bytes in, lines out. An overlong line is dropped whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[str]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if not piece and self._rest:
            lines, self._rest = [self._rest], b""
        self._rest = self._rest[-LINE_BYTES_MAX:]
        for line in lines:
            yield line.decode("utf-8", "replace")
