from __future__ import annotations

import pytest

from proxy.hub.parts import ToolCall
from proxy.wire.arguments import is_readable, may_be_cut


@pytest.mark.parametrize(
    ("arguments", "is_custom", "is_whole", "at_the_end", "before"),
    [
        ('{"a": 1}', False, True, False, False),
        ("[1]", False, True, False, False),
        ("", False, True, True, False),
        (" ", False, True, True, False),
        ('{"a": ', False, False, True, True),
        ("[" * 100_000, False, False, True, True),
        ("ls", True, True, True, False),
        ("ls", False, False, True, True),
    ],
)
def test_whether_a_call_is_whole(
    arguments: str, is_custom: bool, is_whole: bool, at_the_end: bool, before: bool
) -> None:
    call = ToolCall(id="c", name="f", arguments=arguments, is_custom=is_custom)
    assert is_readable(call) is is_whole
    assert may_be_cut(call, is_last=True) is at_the_end
    assert may_be_cut(call, is_last=False) is before
