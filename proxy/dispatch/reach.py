"""How far one client may go: which models it may name, and which accounts exist for it. The others do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from auth.credential import Credential


@dataclass(frozen=True, slots=True)
class Reach:
    """Wildcards. `models`: over the names that clients use. `accounts`: over an account's id, label, prefix or
    provider. Empty: any.
    """

    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    def sees(self, credential: Credential) -> bool:
        if not self.accounts:
            return True
        names = (credential.id, credential.label, credential.prefix, credential.provider)
        return any(_fits(name, self.accounts) for name in names if name)

    def may_name(self, model: str) -> bool:
        return not self.models or _fits(model, self.models)


EVERYTHING = Reach()


def _fits(name: str, patterns: Iterable[str]) -> bool:
    name = name.lower()
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)
