"""How far one client may go: which models it may name, and which accounts exist for it. The others do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from auth.credential import Credential


@dataclass(frozen=True, slots=True)
class Reach:
    """Wildcards. `models`: over the names that clients use. `accounts`: over an account's id, label, prefix or
    provider. Empty: any. `only`: the same, each as one request asks for it by itself.
    """

    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    only: tuple[tuple[str, ...], ...] = ()

    def sees(self, credential: Credential) -> bool:
        names = [each for each in (credential.id, credential.label, credential.prefix, credential.provider) if each]
        wanted = (each for each in (self.accounts, *self.only) if each)
        return all(any(_fits(name, patterns) for name in names) for patterns in wanted)

    @property
    def names(self) -> tuple[str, ...]:
        """Of accounts. Empty: any."""
        return (*self.accounts, *(name for each in self.only for name in each))

    def may_name(self, model: str) -> bool:
        return not self.models or _fits(model, self.models)


EVERYTHING = Reach()


def _fits(name: str, patterns: Iterable[str]) -> bool:
    name = name.lower()
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)
