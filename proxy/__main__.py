"""The composition root: the only file that sees proxy, auth and management together."""

from __future__ import annotations


def main() -> None:
    raise SystemExit("not wired yet")
