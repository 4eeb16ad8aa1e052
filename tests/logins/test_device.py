"""The CLIs that log in by device code only: Kimi Code, Grok and Copilot, each the real program that `proxy cli install`
gets.
"""

from __future__ import annotations

import pytest

from auth.flow import Aborted, Done, ShowCode, Visit
from auth.logins.table import LOGIN_KINDS
from proxy.accounts.logout import log_out
from tests.logins.conftest import MODULES, House
from tests.logins.person import Act, Login, does_nothing
from tests.logins.vendor import Vendor

KINDS = ("kimi-code", "grok", "copilot")
HOSTS = {"kimi-code": "auth.kimi.com", "grok": "auth.x.ai", "copilot": "github.com"}
CLIS = MODULES / ".more" / "clis"
pytestmark = pytest.mark.skipif(not CLIS.exists(), reason="`make test-clients` installs them")


@pytest.fixture(autouse=True)
def _installed(house: House) -> None:
    house.folder.mkdir(mode=0o700)
    (house.folder / "clis").symlink_to(CLIS)


def confirms(vendor: Vendor, kind: str) -> Act:
    async def act(_: Login, step: Visit | ShowCode) -> None:
        assert isinstance(step, ShowCode)
        assert step.code == "ABCD-1234"
        assert step.url.startswith(f"https://{HOSTS[kind]}/device")
        vendor.is_device_confirmed = True

    return act


@pytest.mark.parametrize(
    ("kind", "who"), [("kimi-code", ""), ("grok", "ada@example.test"), ("copilot", "ada@github.com")]
)
async def test_by_device_code(house: House, vendor: Vendor, kind: str, who: str) -> None:
    step = await house.login(kind, confirms(vendor, kind), is_device=True).finish()
    assert isinstance(step, Done), step
    assert str(step.account) == (who or vendor.person.account)
    ((_, file),) = house.files.items()
    assert (file["type"], file["account"]) == (kind, step.account.account)
    (row,) = house.desk.rows()
    assert row.state == "unused"
    assert str(row.why).startswith("is kept and listed; no client is served with it: ")
    await house.login(kind, confirms(vendor, kind), is_device=True).finish()
    assert len(house.files) == len(house.homes) == 1, "the same account is renewed"


@pytest.mark.parametrize("kind", ["kimi-code", "grok"])
async def test_declined(house: House, vendor: Vendor, kind: str) -> None:
    """Copilot's CLI does not take no for an answer: it asks until the code has expired."""
    vendor.is_device_denied = True
    step = await house.login(kind, does_nothing, is_device=True).finish()
    assert isinstance(step, Aborted)
    assert step.reason == "declined", step
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_comes(house: House, kind: str) -> None:
    step = await house.login(kind, does_nothing, is_device=True, minutes=0.1).finish()
    assert isinstance(step, Aborted)
    assert step.reason == "timed_out", step
    assert house.homes == []


@pytest.mark.parametrize("kind", KINDS)
async def test_logged_out(house: House, vendor: Vendor, kind: str) -> None:
    await house.login(kind, confirms(vendor, kind), is_device=True).finish()
    (name,) = house.files
    told = await log_out(house.desk, name, house.environment)
    assert LOGIN_KINDS[kind].revoke_page in told
    assert (house.files, house.homes) == ({}, [])
