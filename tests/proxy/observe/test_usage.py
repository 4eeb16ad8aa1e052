from __future__ import annotations

import itertools

from proxy.hub.response import Usage
from proxy.observe.usage import BUCKETS, TOKENS_MAX, Tokens


def test_an_upstream_may_say_anything() -> None:
    for counts in itertools.product((None, 0, 5, -1, TOKENS_MAX + 1), repeat=len(BUCKETS)):
        said = dict(zip(BUCKETS, counts, strict=True))
        told = Tokens.of(Usage(**said))
        assert told == Tokens.bounded(said)
        assert 0 <= told.total <= TOKENS_MAX * len(BUCKETS)
        assert told.is_known is any(count is not None and count >= 0 for count in counts)


def test_nothing_said_is_nothing_known() -> None:
    assert Tokens.of(None) == Tokens()
    assert not Tokens.of(None).is_known
