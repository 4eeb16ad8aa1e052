"""A string that never prints."""

from __future__ import annotations

import hashlib
import hmac


class Secret:
    """An API key, token or password. Only `reveal()` gives the text; `repr`, `str` and formatting give dots.

    Compares in constant time. `digest` (SHA-256, hex) identifies it without revealing it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    @property
    def digest(self) -> str:
        return hashlib.sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "•••"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "•••"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")
