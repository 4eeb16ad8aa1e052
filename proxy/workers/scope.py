"""What a follower serves itself: plain requests to models, of clients whom nothing limits, by accounts that need
nothing but their key. Everything else is the owner's: it counts, has the CLIs and the logins, remembers, and refuses.
"""

from __future__ import annotations

from proxy.dispatch.fallbacks import fallbacks
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.reach import Reach
from proxy.dispatch.splice import members
from proxy.errors import UnknownModel
from proxy.server.continuation import PREVIOUS, is_stored
from proxy.server.limits import Caller, Limits
from proxy.server.references import MARK
from proxy.server.terms import WHOLE
from proxy.workers.papers import Standpoint

RESPONSES = "openai_responses"
WIRES = WHOLE | {RESPONSES}
"""In which a follower is asked."""
REMEMBERED_MAX = 4096
_GOES_ON = (f'"{PREVIOUS}"'.encode(), MARK)


def stands_alone(content: bytes) -> bool:
    """Whether a Responses request neither goes on from another answer nor may be gone on from: such answers are kept
    by the owner. Raises `Malformed`.
    """
    return not is_stored(members(content)) and not any(mark in content for mark in _GOES_ON)


class Scope:
    """Of one standpoint."""

    def __init__(self, standpoint: Standpoint) -> None:
        self._standpoint = standpoint
        config = standpoint.config
        is_shared_out = any(budget.quota_percent for key in config.api_keys for budget in key.budgets)
        self._is_closed = not standpoint.is_real or config.request_log or is_shared_out
        """Recordings are the owner's to write, and where budgets are in quotas it counts everybody's tokens."""
        self._remembered: dict[tuple[str, str, Reach], bool] = {}

    def admits(self, caller: Caller) -> bool:
        return not self._is_closed and Limits.are_none(caller)

    def serves(self, model: str, wire: str, reach: Reach) -> bool:
        """`wire`: the client's."""
        key = (model, wire, reach)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            found = self._remembered[key] = self._serves(model, wire, reach)
        return found

    def _serves(self, model: str, wire: str, reach: Reach) -> bool:
        """Also by whom it would be gone on with, if nobody could."""
        snapshot = self._standpoint.snapshot
        inquiry = Inquiry(
            request_id="", wire=wire, operation="generate", model=model, is_stream=False, body=b"", headers={},
            query={}, reach=reach,
        )  # fmt: skip
        try:
            asked = snapshot.catalogue.within(reach).find(model, "generate", wire)
        except UnknownModel:
            return False
        found = (asked, *fallbacks(snapshot, inquiry, asked, is_spent=True))
        return all(self._standpoint.is_plain(candidate) for each in found for candidate in each.candidates)
