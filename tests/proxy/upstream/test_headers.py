from __future__ import annotations

import pytest
from multidict import CIMultiDict

from proxy.upstream.headers import incoming, outgoing


def test_given_headers_keep_order_case_and_repetition() -> None:
    given = [("X-B", "1"), ("x-a", "caf\u00e9\t"), ("X-B", "2")]
    assert outgoing(given) == [*given, ("Accept-Encoding", "identity")]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\r\n", "a\0"])
def test_a_name_that_http_cannot_say(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        outgoing([(name, "v")])


@pytest.mark.parametrize("value", ["\r", "\n", "\0", "\x1f", "\x7f", "\ud800"])
def test_a_value_that_http_cannot_say_is_not_repeated(value: str) -> None:
    with pytest.raises(ValueError, match="'x-key'") as caught:
        outgoing([("x-key", f"k{value}k")])
    assert value not in str(caught.value)


def test_repeated_headers_come_back_as_often_as_they_came() -> None:
    answer = incoming(CIMultiDict([("Retry-After", "1"), ("server", "x"), ("retry-after", "2")]))
    assert list(answer.items()) == [("Retry-After", "1"), ("retry-after", "2")]
    assert answer["RETRY-AFTER"] == "1"


@pytest.mark.parametrize("value", ["a\x01b", "a\x7f", "\udcff"])
def test_T31_a_value_with_control_characters_is_not_believed(value: str) -> None:
    assert dict(incoming({"request-id": value, "retry-after": "3"})) == {"retry-after": "3"}
