"""What is wrong with a config file, line by line, all at once."""

from __future__ import annotations

from proxy.errors import ConfigError

SHOWN_MAX = 50


class Complaints:
    """Gathers faults and warnings. `name`: what the file is called in them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._faults: dict[tuple[int, str], None] = {}
        self._warnings: dict[tuple[int, str], None] = {}

    def add(self, line: int, message: str) -> None:
        self._faults[line, message] = None

    def warn(self, line: int, message: str) -> None:
        self._warnings[line, message] = None

    def _lines(self, complaints: dict[tuple[int, str], None]) -> list[str]:
        ordered = sorted(complaints)
        lines = [f"{self._name}:{line}: {message}" for line, message in ordered[:SHOWN_MAX]]
        if len(ordered) > SHOWN_MAX:
            lines.append(f"{self._name}: and {len(ordered) - SHOWN_MAX} more")
        return lines

    def warnings(self) -> tuple[str, ...]:
        return tuple(self._lines(self._warnings))

    @property
    def is_empty(self) -> bool:
        return not self._faults

    def raise_if_any(self) -> None:
        """Raises `ConfigError` with one complaint a line."""
        if self._faults:
            raise ConfigError("\n".join(self._lines(self._faults)))
