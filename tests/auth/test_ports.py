from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from auth.ports import PortTaken, is_free, owner_of, take


def test_T26_both_loopback_addresses_and_nothing_else() -> None:
    taken = take(0)
    try:
        port = taken[0].getsockname()[1]
        assert {each.getsockname()[0] for each in taken} <= {"127.0.0.1", "::1"}
        assert {each.getsockname()[1] for each in taken} == {port}
        with pytest.raises(PortTaken, match=rf"port {port} is taken by .* \(process {os.getpid()}\)"):
            take(port)
        assert not is_free(port)
        assert all(not each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for each in taken)
    finally:
        for each in taken:
            each.close()
    assert is_free(port)


def test_T26_a_port_that_only_ipv6_has_is_taken_and_nothing_is_left_open() -> None:
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken):
            take(port)
    assert is_free(port)


def test_a_squatter_is_named() -> None:
    script = "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as squatter:
        assert squatter.stdout is not None
        port = int(squatter.stdout.readline())
        assert f"(process {squatter.pid})" in owner_of(port)
        squatter.communicate("\n")
    assert owner_of(port) == "another program"
