"""One upstream, one server and one Node with all SDKs for all tests of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.clients.stage import MODULES as CLIENTS
from tests.contract.conftest import house, lane, server, stage
from tests.sdks.node import MODULES, Node

__all__ = ["house", "lane", "server", "stage"]

collect_ignore_glob = [] if all((each / ".installed").exists() for each in (MODULES, CLIENTS)) else ["test_*.py"]
"""``make test-clients`` installs the SDKs, and the Node that runs them."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[Node]:
    async with Node() as node:
        yield node
