"""The web panel: static files that ship with the program, and nothing that is loaded from elsewhere (T29).

The page holds no secret and asks the management API as any other client does; its key stays in the page's memory. Each
script stands in the page with its digest, scripts and styles come from here only, no markup is ever made of text
(trusted types), and no other page can frame it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from management.guard import Visitor

PAGE = "/management.html"
ASSETS = "/management/panel/"
_FOLDER = Path(__file__).parent
_KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_MARK = "<!-- assets -->"
_ENTRY = "app.js"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Panel:
    """Read once; small enough to be kept."""

    def __init__(self) -> None:
        files = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _KINDS}
        page = files.pop("index.html").decode().replace(_MARK, "\n".join(_links(files)))
        self._files = {ASSETS + name: (_KINDS[Path(name).suffix], raw) for name, raw in files.items()}
        self._files[PAGE] = ("text/html", page.encode())

    def covers(self, path: str) -> bool:
        return path == PAGE or path.startswith(ASSETS)

    def answer(self, request: web.BaseRequest, visitor: Visitor, *, allows_remote: bool) -> web.Response:
        """Whoever may not use the API from there has no use for the panel."""
        if not visitor.is_local and not allows_remote:
            return _plain(403, "The panel is for this machine only; remote-management.allow-remote opens it.")
        if request.method not in {"GET", "HEAD"}:
            return _plain(405, "This is a page.", {"Allow": "GET, HEAD"})
        found = self._files.get(request.path)
        if found is None:
            return _plain(404, "Nothing here.")
        kind, raw = found
        tag = f'"{hashlib.sha256(raw).hexdigest()[:32]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={**HEADERS, "ETag": tag})
        return web.Response(body=raw, headers={**HEADERS, "ETag": tag, "Content-Type": f"{kind}; charset=utf-8"})


def _links(files: dict[str, bytes]) -> Iterator[str]:
    """Every script by its digest, before any of them runs: a module that another one asks for is checked, too."""
    for name, raw in files.items():
        digest = base64.b64encode(hashlib.sha384(raw).digest()).decode()
        where = f'href="{ASSETS}{name}" integrity="sha384-{digest}"'
        yield f'<link rel="stylesheet" {where}>' if name.endswith(".css") else f'<link rel="modulepreload" {where}>'
    entry = base64.b64encode(hashlib.sha384(files[_ENTRY]).digest()).decode()
    yield f'<script type="module" src="{ASSETS}{_ENTRY}" integrity="sha384-{entry}"></script>'


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers={**HEADERS, **(headers or {})})
