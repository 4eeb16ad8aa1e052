"""Simulated accounts of each kind, for whoever has none yet: streams, tools, quotas and failures, without any network.

* `accounts`: the providers and credentials, and what each of them is good for.
* `mind`: what a simulated model answers. `sample`: values that fit a JSON Schema.
* `quota`: scripted limits, told in each vendor's own words. `mishap`: scripted failures.
* `upstream`: the `Upstream` that plays all of them.

Models: ``sandbox-claude``, ``sandbox-gpt``, ``sandbox-gemini``; ``sandbox-flaky``, behind which accounts fail in turn
and one can always serve; ``sandbox-limited``, whose accounts are near the end of their window and have two requests
left in each minute.
"""

from proxy.providers.sandbox.accounts import CREDENTIALS, PROVIDERS
from proxy.providers.sandbox.upstream import Sandbox

__all__ = ["CREDENTIALS", "PROVIDERS", "Sandbox"]
