"""What a client of ours is, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias

from auth.secret import Secret
from proxy.hub.residue import JsonValue

KEYLESS = "proxy"
"""Told as the key where the server asks for none: most clients insist on a word."""

Format: TypeAlias = Literal["json", "toml", "dotenv"]
Keys: TypeAlias = tuple[str, ...]
"""The way to a value, from the top of a document."""
Values: TypeAlias = Mapping[Keys, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model that the server lists. Limits in tokens; None: not known."""

    id: str
    context_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """`url`: without a trailing slash. `model`: the one to ask for; None: the client's own choice."""

    url: str
    key: Secret
    offers: tuple[Offer, ...] = ()
    model: Offer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """`arguments` stand before the user's own, which beat them. `removed`: variables that would lead elsewhere."""

    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One file of the client's, and the values that it has to hold; whatever else stands there stays."""

    path: Path
    format: Format
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    name: str
    """As in ``proxy run <name>``."""
    title: str
    program: str
    package: str
    """What npm calls it."""
    families: tuple[str, ...] = ()
    """Wildcards over the models that it asks for by itself; none: it has to be told one."""
    launch: Callable[[Access], Launch]
    edits: Callable[[Access, Mapping[str, str]], tuple[Edit, ...]]
    """The second argument is the user's environment, which says where files are."""
    probe: tuple[str, ...]
    """Arguments of one headless prompt."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know of a setup."""

    def choose(self, offers: tuple[Offer, ...], wanted: str | None) -> Offer | None:
        """None: what it asks for by itself is served. A wanted model need not be listed: aliases have suffixes."""
        if wanted is not None:
            return next((offer for offer in offers if offer.id == wanted), Offer(id=wanted))
        own = [offer for offer in offers if any(fnmatchcase(offer.id, family) for family in self.families)]
        return None if own else next(iter(offers), None)


def home(environment: Mapping[str, str], variable: str, *below: str) -> Path:
    """The folder that a variable names, else one below the user's home."""
    given = environment.get(variable)
    return Path(given) if given else Path(environment.get("HOME") or Path.home(), *below)
