"""Who is logged in, as the official CLI tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Empty: the CLI does not say."""

    account: str
    """What the provider calls the account; the same after every login. Never empty."""
    email: str = ""
    organization: str = ""
    plan: str = ""
    project: str = ""
    """Of its cloud, that pays."""
    expires_at: float | None = None
    """Of the login as a whole, in Unix seconds; None: the CLI does not say. Not of the access token."""

    def __str__(self) -> str:
        parts = [self.email or self.account, self.plan, self.organization]
        return " · ".join(part for part in parts if part)

    def is_meant_by(self, name: str) -> bool:
        """`name`: an e-mail address in any case, or the provider's own name of the account."""
        return name == self.account or name.casefold() == self.email.casefold() != ""
