from __future__ import annotations

import pytest

from proxy.server.addresses import address_of, is_within, networks, parsed, site_of

TRUSTED = networks(("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.7"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["2001:db8::5"], "2001:db8::5"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", [""], "10.0.0.1"),
    ],
)
def test_only_a_proxy_of_ours_may_say_where_a_client_is(peer: str, forwarded: list[str], client: str) -> None:
    assert address_of(peer, forwarded, TRUSTED) == client


def test_nobody_is_believed_who_is_not_named() -> None:
    assert address_of("127.0.0.1", ["198.51.100.1"], ()) == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "is_inside"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("fd12::1%eth0", True), ("11.0.0.1", False), ("home", False)],
)
def test_an_address_lies_in_a_network_or_not(text: str, is_inside: bool) -> None:
    assert is_within(text, TRUSTED) is is_inside


def test_a_household_is_one_however_many_addresses_it_has() -> None:
    assert site_of("2001:db8:0:1::5") == site_of("2001:db8:0:1:ffff::9") == "2001:db8:0:1::/64"
    assert site_of("2001:db8:0:2::5") != site_of("2001:db8:0:1::5")
    assert (site_of("203.0.113.9"), site_of("::ffff:203.0.113.9"), site_of("")) == ("203.0.113.9", "203.0.113.9", "")


def test_what_is_no_address_is_none() -> None:
    assert parsed("localhost") is None
