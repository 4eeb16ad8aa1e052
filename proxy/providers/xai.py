"""xAI's Chat Completions, with an API key (``xai-api-key``). Its models are those that it lists itself.

Its name is not that of an entry of ``openai-compatibility``, which people call xai: such an entry may lead elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.providers.openai_compatible import provider_named

PROVIDER = replace(provider_named("x-ai", "https://api.x.ai/v1", ()), families=("grok-*",))
