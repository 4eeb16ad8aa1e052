"""What Claude Code can be asked on somebody else's behalf, by the Messages API's own words: nearly all of it.

Measured with 2.1.328: ``CLAUDE_CODE_EXTRA_BODY`` carries every field of a request but those named here. Messages go in
as its own input lines, which know a user and an assistant, and it marks prompts for the cache by itself.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject
from proxy.providers.base import Limited

_OWN = {
    "metadata": "Claude Code sends its own",
    "cache_control": "Claude Code marks prompts for the cache by itself",
}
"""Fields that the CLI fills in."""


def profile(profile: Profile) -> Profile:
    """What is left of a model's abilities."""
    return replace(profile, has_mid_system=False, has_cache_marks=False, has_prefill=False)


def limits(body: JsonObject) -> Limited:
    """Fields are taken out that it would fill in all the same."""
    return Limited(tuple(Loss(key, key, why) for key, why in _OWN.items() if body.pop(key, None) is not None))
