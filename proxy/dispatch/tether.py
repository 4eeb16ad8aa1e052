"""What binds one request to an account: its session, softly; a file that only one has, or whoever asks, hard."""

from __future__ import annotations

from auth.standing import State
from proxy.dispatch.affinity import files_of, prefix_of, session_key, session_of
from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Candidate
from proxy.dispatch.genuine import is_genuine
from proxy.dispatch.inquiry import Tie
from proxy.dispatch.policy import standing_of
from proxy.dispatch.shared import Shared
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import Malformed
from proxy.providers.base import Operation

_SPOKEN: frozenset[Operation] = frozenset({"generate", "complete", "compact"})
"""What leaves a prompt in a cache."""
_AWAY: frozenset[State] = frozenset({"cooling", "broken", "disabled", "reserved", "spent"})


class Tether:
    """`tie` before the first attempt, `settle` when somebody has served."""

    def __init__(self, shared: Shared, snapshot: Snapshot, asked: Asked) -> None:
        """`asked`: for what was asked; of each model that goes on in its place the bonds are its own."""
        self._shared = shared
        self._asked = asked
        self._key: bytes | None = None
        self._files: list[str] = []
        self._routing = snapshot.config.routing

    def tie(self) -> Tie | None:
        inquiry, candidates = self._asked.inquiry, self._asked.found.candidates
        now = self._shared.clock.monotonic()
        if inquiry.tie is not None and inquiry.tie.is_hard:
            return inquiry.tie
        self._files = files_of(self._asked)
        tie = self._shared.affinity.find_file(inquiry.client, self._files, now)
        if tie is not None and any(tie.fits(each.key) for each in candidates):
            return tie
        if inquiry.tie is not None:
            return inquiry.tie
        if not self._routing.session_affinity or len(candidates) < 2 or inquiry.operation not in _SPOKEN:
            return None
        session = session_of(inquiry) or self._prefix()
        if session is None:
            return None
        self._key = session_key(inquiry.client, session, self._asked.found.name)
        return self._shared.affinity.find(self._key, now)

    def _prefix(self) -> str | None:
        """Always asked for where an official CLI answers: it has the conversation in its memory, another's has not."""
        is_wanted = self._routing.prefix_affinity or self._is_by_cli()
        if not is_wanted or self._asked.inquiry.operation != "generate":
            return None
        try:
            return prefix_of(self._asked.request)
        except Malformed:
            return None  # whoever is asked will say so

    def _is_by_cli(self) -> bool:
        inquiry = self._asked.inquiry
        providers = self._asked.found.providers
        return any(each.cli_executor and not is_genuine(each, inquiry.headers, inquiry.envelope) for each in providers)

    def settle(self, served: Candidate) -> None:
        """The session stays with whom it was, over transient faults of theirs and while they have too much to do; it
        moves when they have to rest, are gone, or were of a lower priority.
        """
        affinity, now = self._shared.affinity, self._shared.clock.monotonic()
        if self._files:
            affinity.keep_files(self._asked.inquiry.client, self._files, served, now)
        if self._key is None:
            return
        tie = affinity.find(self._key, now)
        home = None
        if tie is not None and not tie.fits(served.key):
            home = next((each for each in self._asked.found.candidates if tie.fits(each.key)), None)
        if home is None or home.credential.priority < served.credential.priority or self._is_away(home, now):
            home = served
        affinity.keep(self._key, home, now + self._routing.session_affinity_ttl)

    def _is_away(self, candidate: Candidate, now: float) -> bool:
        standing = standing_of(candidate, self._shared.pool, now)
        return standing.state in _AWAY and not standing.is_transient
