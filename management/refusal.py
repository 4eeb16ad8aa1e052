"""What the management API answers when it does not do what it was asked."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):
    """Told as ``{"error": message}``; with a `code` as ``{"error": code, "message": message}``."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        is_usual: bool = False,
        **more: object,
    ) -> None:
        """`is_usual`: nothing that an operator should hear of."""
        super().__init__(message)
        self.is_usual = is_usual
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, object] = {"error": code, "message": message} if code else {"error": message}
        self.body |= more


def invalid(message: str = "invalid body") -> Refusal:
    return Refusal(400, message)


def absent(message: str = "item not found") -> Refusal:
    return Refusal(404, message)
