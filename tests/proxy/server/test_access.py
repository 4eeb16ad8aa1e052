from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from auth.secret import Secret
from proxy.config.client_keys import ClientKey, hash_of
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.errors import AccessDenied, Forbidden, Misdirected
from proxy.server.access import Client, ClientKeys, Visitor, admit, check_host, is_local, is_loopback, weakness

KEY = "sk-a-long-random-word-1"
OTHER = "sk-a-long-random-word-2"


def keys(*texts: str, strict: bool = False) -> ClientKeys:
    return ClientKeys.of(ClientKey(api_key=Secret(text), strict=strict) for text in texts)


def visitor(
    *,
    peer: str = "127.0.0.1",
    host: str = "127.0.0.1:8317",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    local: tuple[str, int] = ("127.0.0.1", 8317),
) -> Visitor:
    return Visitor(peer=peer, host=host, headers=headers or {}, query=query or {}, local=local)


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": f"Bearer {KEY}"},
            {"authorization": f"bearer  {KEY} "},
            {"x-api-key": KEY},
            {"x-goog-api-key": KEY},
            {"api-key": KEY},
            {"authorization": "Bearer something-else", "x-api-key": KEY},
        ],
    )
    def test_a_key_is_taken_wherever_a_client_puts_it(self, headers: Mapping[str, str]) -> None:
        assert admit(visitor(peer="203.0.113.9", headers=headers), keys(OTHER, KEY), ()).is_keyed

    def test_a_key_in_the_query(self) -> None:
        assert admit(visitor(peer="203.0.113.9", query={"key": KEY}), keys(KEY), ()).is_keyed

    def test_a_client_has_a_name_that_is_not_its_key(self) -> None:
        named = ClientKeys.of([ClientKey(api_key=Secret(KEY), name="laptop", strict=True)])
        assert named.find(KEY) == Client(name="laptop", is_keyed=True, is_strict=True)
        nameless = keys(KEY).find(KEY)
        assert nameless is not None
        assert nameless.name.startswith("key-")
        assert nameless.name[4:] not in KEY

    @pytest.mark.parametrize(
        "offered", ["", "wrong-key-entirely", KEY[:-1], KEY + "x", KEY.upper(), "ключ-ключ", "\x00"]
    )
    def test_another_key_is_refused(self, offered: str) -> None:
        with pytest.raises(AccessDenied) as raised:
            admit(visitor(headers={"x-api-key": offered}), keys(KEY), ())
        assert raised.value.status == 401
        assert raised.value.code == ("invalid_api_key" if offered else "missing_api_key")

    def test_loopback_needs_the_key_too_once_there_is_one(self) -> None:
        with pytest.raises(AccessDenied, match="a client key is needed"):
            admit(visitor(), keys(KEY), ())

    def test_T08_keys_that_share_a_prefix_are_told_apart(self) -> None:
        stem = "k" * 40
        both = ClientKeys.of(
            [ClientKey(api_key=Secret(stem + "a"), name="a"), ClientKey(api_key=Secret(stem + "b"), name="b")]
        )
        found = [both.find(stem + end) for end in "ab"]
        assert [client and client.name for client in found] == ["a", "b"]
        assert both.find(stem) is None

    @pytest.mark.parametrize(
        "key",
        [
            "your-api-key",
            "your-api-key-1",
            "your-api-key-3",
            "sk-xxx",
            "sk-XXXXXXXX",
            "changeme",
            "sk-1234",
            "<your key>",
            "$API_KEY",
            "${API_KEY}",
            "YOUR_API_KEY",
            "sk-...",
            "put-your-key-here",
            "a-key-that-you-made-up",
        ],
    )
    def test_T08_a_key_out_of_documentation_opens_nothing(self, key: str) -> None:
        assert weakness(key) is not None
        weak = keys(key)
        assert weak.complaints
        assert weak.complaints[0].startswith("api-keys[0] is refused: it stands in documentation")
        with pytest.raises(AccessDenied, match="it stands in documentation"):
            admit(visitor(headers={"x-api-key": key}), weak, ())

    def test_T08_a_short_key_opens_nothing(self) -> None:
        with pytest.raises(AccessDenied, match="can be guessed"):
            admit(visitor(headers={"x-api-key": "abc1234"}), keys("abc1234"), ())
        assert weakness(KEY) is None

    def test_T08_refused_keys_do_not_make_the_server_keyless(self) -> None:
        with pytest.raises(AccessDenied):
            admit(visitor(), keys("changeme"), ())


class TestTerms:
    def keys(self, **terms: Any) -> ClientKeys:
        return ClientKeys.of([ClientKey(api_key=Secret(KEY), name="laptop", **terms)])

    def enter(self, table: ClientKeys, *, now: float = 0.0, peer: str = "203.0.113.9", address: str = "") -> Client:
        return admit(replace(visitor(peer=peer, headers={"x-api-key": KEY}), address=address), table, (), now)

    def test_a_hash_lets_its_key_in_and_nothing_else(self) -> None:
        table = ClientKeys.of([ClientKey(key_hash=hash_of(KEY), name="laptop")])
        assert self.enter(table).name == "laptop"
        for other in (OTHER, hash_of(KEY)):
            assert table.find(other) is None

    def test_T08_a_hash_of_a_documented_key_opens_nothing(self) -> None:
        table = ClientKeys.of([ClientKey(key_hash=hash_of("your-api-key-1"))])
        assert table.complaints[0].startswith("api-keys[0] is refused: it stands in documentation")
        with pytest.raises(AccessDenied, match="it stands in documentation"):
            table.find("your-api-key-1")

    def test_it_expires_at_the_moment(self) -> None:
        table = self.keys(expires="2027-01-31T12:00:00Z")
        assert self.enter(table, now=1801396799.9).name == "laptop"
        with pytest.raises(AccessDenied, match="expired on 2027-01-31 12:00 UTC") as raised:
            self.enter(table, now=1801396800.0)
        assert (raised.value.status, raised.value.code) == (401, "expired_api_key")

    def test_it_is_good_from_its_networks_alone(self) -> None:
        table = self.keys(networks=("10.0.0.0/8", "2001:db8::/32"))
        assert self.enter(table, peer="10.1.2.3").name == self.enter(table, peer="2001:db8::1").name == "laptop"
        with pytest.raises(Forbidden, match=r"may not be used from 203\.0\.113\.9") as raised:
            self.enter(table)
        assert (raised.value.status, raised.value.code) == (403, "address_not_allowed")

    def test_the_address_counts_that_a_trusted_proxy_told(self) -> None:
        table = self.keys(networks=("10.0.0.0/8",))
        assert self.enter(table, peer="127.0.0.1", address="10.1.2.3").name == "laptop"
        with pytest.raises(Forbidden):
            self.enter(table, peer="10.0.0.1", address="203.0.113.9")

    def test_it_knows_how_far_it_may_go(self) -> None:
        client = self.enter(self.keys(models=("claude-*",), accounts=("team",)))
        assert client.reach == Reach(("claude-*",), ("team",))
        assert self.enter(self.keys()).reach == EVERYTHING

    def test_a_file_without_keys_lets_nobody_in(self) -> None:
        with pytest.raises(AccessDenied):
            admit(visitor(), ClientKeys.of([], is_closed=True), ())

    def test_who_came_in_earlier_is_judged_by_the_keys_of_today(self) -> None:
        client = self.enter(self.keys())
        assert self.keys(strict=True).again(client).is_strict
        with pytest.raises(AccessDenied, match="not known here any more"):
            keys(OTHER).again(client)
        assert keys().again(Client()) == Client()
        with pytest.raises(AccessDenied):
            keys(OTHER).again(Client())


class TestKeyless:
    def test_this_machine_is_served_whatever_key_it_sends(self) -> None:
        assert admit(visitor(headers={"authorization": "Bearer any"}), keys(), ()) == Client()

    @pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
    def test_loopback_peers(self, peer: str) -> None:
        assert is_loopback(peer)

    @pytest.mark.parametrize("peer", ["192.168.1.2", "::ffff:192.168.1.2", "fe80::1%eth0", "0.0.0.0", "", "localhost"])
    def test_other_peers_are_refused(self, peer: str) -> None:
        with pytest.raises(AccessDenied, match="add api-keys"):
            admit(visitor(peer=peer), keys(), ())

    FORWARDING = (
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Forwarded",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "Fastly-Client-IP",
        "Fly-Client-IP",
    )
    ADDRESSES = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "for=127.0.0.1")

    def test_T01_a_forwarded_header_makes_nobody_local(self) -> None:
        for name, address in itertools.product(self.FORWARDING, self.ADDRESSES):
            with pytest.raises(AccessDenied):
                admit(visitor(peer="192.168.1.9", headers={name: address}), keys(), ())

    def test_T02_behind_a_reverse_proxy_nobody_is_local(self) -> None:
        for name, address in itertools.product(self.FORWARDING, self.ADDRESSES):
            stranger = visitor(headers={name: address})
            assert not is_local(stranger)
            with pytest.raises(AccessDenied):
                admit(stranger, keys(), ())

    def test_a_name_that_is_allowed_but_not_loopback_is_not_local(self) -> None:
        assert not is_local(visitor(host="proxy.example.com:8317"))

    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://attacker.test"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:3000"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ],
    )
    def test_a_web_page_does_not_spend_this_machines_accounts(self, headers: Mapping[str, str]) -> None:
        with pytest.raises(Forbidden, match="cors-origins"):
            admit(visitor(headers=headers), keys(), ())
        assert admit(visitor(headers={**headers, "x-api-key": KEY}), keys(KEY), ()).is_keyed

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-mode": "cors"},
            {"sec-fetch-site": "none"},
            {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8317"},
            {"origin": "https://app.example.com", "sec-fetch-site": "cross-site"},
        ],
    )
    def test_clients_and_allowed_pages_do(self, headers: Mapping[str, str]) -> None:
        assert admit(visitor(headers=headers), keys(), ("https://app.example.com",)) == Client()


class TestHost:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1:8317", "localhost:8317", "LocalHost:8317", "[::1]:8317", "192.168.1.5:8317"]
    )
    def test_loopback_and_the_address_that_was_connected_to(self, host: str) -> None:
        check_host(visitor(host=host, local=("192.168.1.5", 8317)), ())

    def test_the_ports_that_need_no_name(self) -> None:
        check_host(visitor(host="localhost", local=("127.0.0.1", 443)), ())

    def test_the_near_end_of_a_tunnel_has_another_port(self) -> None:
        check_host(visitor(host="127.0.0.1:9000"), ("127.0.0.1:9000",))
        for allowed in ("127.0.0.1", "127.0.0.1:9001", "localhost:9000"):
            with pytest.raises(Misdirected):
                check_host(visitor(host="127.0.0.1:9000"), (allowed,))
        with pytest.raises(Misdirected):
            check_host(visitor(host="127.0.0.1"), ("127.0.0.1",))

    def test_configured_names_with_their_port_or_any(self) -> None:
        check_host(visitor(host="Proxy.example.com:9000"), ("proxy.example.com",))
        check_host(visitor(host="proxy.example.com"), ("proxy.example.com",))
        check_host(visitor(host="proxy.example.com:9000"), ("proxy.example.com:9000",))
        with pytest.raises(Misdirected):
            check_host(visitor(host="proxy.example.com:9001"), ("proxy.example.com:9000",))

    @pytest.mark.parametrize(
        "host",
        [
            "attacker.test:8317",
            "attacker.test",
            "",
            "localhost",
            "localhost:9999",
            "127.0.0.1",
            "localhost.attacker.test:8317",
            "127.0.0.1.attacker.test:8317",
            "localhost:8317@attacker.test",
            "attacker.test:8317:8317",
            "127.1:8317",
            "0.0.0.0:8317",
            "[::]:8317",
            "localhost.:8317",
            " localhost:8317",
        ],
    )
    def test_T03_dns_rebinding_host_allowlist(self, host: str) -> None:
        with pytest.raises(Misdirected) as raised:
            check_host(visitor(host=host), ("proxy.example.com", "", "0.0.0.0", "::"))
        assert raised.value.status == 421
        assert "server.allowed-hosts" in raised.value.message
