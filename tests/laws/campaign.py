"""How many examples hypothesis makes: few and always the same by default, `PROXY_EXAMPLES` times as many, and new ones,
in a campaign (``PROXY_EXAMPLES=100 .venv/bin/pytest tests/laws``).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = float(os.environ.get("PROXY_EXAMPLES", "1"))


def examples(number: int) -> settings:
    return settings(
        max_examples=max(1, int(number * FACTOR)),
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
