"""What is written to disk when tokens are replaced, in one go and without a network: for whoever makes it fail.

``persisting.py HOME FILE``: renews the tokens in HOME, then changes FILE. What goes before the mark is of no interest.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from auth import atomic, oidc_tokens
from auth.oidc_tokens import Intent, OidcTokens
from auth.seal import PLAIN
from auth.secret import Secret
from auth.store import Store

NEW = OidcTokens(access=Secret("new-access"), refresh=Secret("new-refresh"), expires_at=2.0, life_seconds=1.0)
BEGIN = "/the-tests-begin-here"


def mark() -> None:
    """Seen by strace."""
    os.path.exists(BEGIN)  # noqa: PTH110 - one system call, and no more


def renew(home: Path) -> None:
    with atomic.opened(home) as folder:
        atomic.sweep(folder)
        with oidc_tokens.room_for_tokens(folder) as become:
            oidc_tokens.put_intent(folder, Intent(digest="digest", at=1.0))
            become(oidc_tokens.rendered(NEW, PLAIN), None)


def main() -> int:
    home, file = Path(sys.argv[1]), Path(sys.argv[2])
    store = Store(file.parent, lambda _name, document: document)
    mark()
    try:
        renew(home)
        store.change(file.name, {"label": "new"})
    except Exception as error:  # noqa: BLE001 - whatever it was, it was told
        sys.stdout.write(type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
