"""What a translation could not carry."""

from __future__ import annotations

from proxy.hub.values import dataclass


@dataclass(frozen=True, slots=True)
class Loss:
    """`path`: where it stood in the source (``messages[2].content[0].cache_control``). `what`: the thing, shortly
    (``cache mark``). `why`: one clause that says why the target has no room (``gemini caches implicitly``).
    """

    path: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}: {self.why}"
