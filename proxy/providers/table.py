"""The providers that we know, in the order in which lists show them. A new one is a file and a line here,
and one in `configured` where its keys stand in the configuration.
"""

from __future__ import annotations

from proxy.providers import anthropic, gemini, openai, vertex
from proxy.providers.base import Provider

PROVIDERS: tuple[Provider, ...] = (anthropic.PROVIDER, openai.PROVIDER, gemini.PROVIDER, vertex.PROVIDER)
