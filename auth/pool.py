"""Live state per credential and scope: ready · cooling(until, why) · probing · broken(why) · disabled.

Pure and clock-injected: no I/O, no time of its own. One `Pool` lives as long as the process and survives reloads.
"""

from __future__ import annotations


class Pool:
    """The cooldowns, leases and turns of all credentials, keyed by credential id."""
