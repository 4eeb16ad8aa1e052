from __future__ import annotations

import pytest

from proxy.errors import Forbidden
from proxy.server.cors import answer_headers, is_preflight, preflight_headers

ORIGIN = "https://app.example.com"
ASKED = {"origin": ORIGIN, "access-control-request-method": "POST"}


def test_a_preflight_asks_for_a_method() -> None:
    assert is_preflight("OPTIONS", ASKED)
    assert not is_preflight("OPTIONS", {"origin": ORIGIN})
    assert not is_preflight("POST", ASKED)


def test_an_allowed_page_may_send_what_it_asks_for() -> None:
    asked = {
        **ASKED,
        "access-control-request-headers": "x-api-key",
        "access-control-request-private-network": "true",
    }
    assert preflight_headers(asked, [ORIGIN]) == {
        "Access-Control-Allow-Origin": ORIGIN,
        "Access-Control-Expose-Headers": "*",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
        "Access-Control-Allow-Headers": "x-api-key",
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "600",
    }


@pytest.mark.parametrize("origins", [[], ["*"], ["https://app.example.com.attacker.test"], ["http://app.example.com"]])
def test_T05_another_page_may_nothing(origins: list[str]) -> None:
    assert answer_headers({"origin": ORIGIN}, origins) == {}
    with pytest.raises(Forbidden, match=r"server\.cors-origins"):
        preflight_headers(ASKED, origins)
