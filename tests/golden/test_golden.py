"""Every golden file says what comes out today (`tests.golden.cases`)."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from proxy.errors import Untranslatable
from proxy.hub.residue import JsonObject
from proxy.wire.table import WIRES
from tests.golden.cases import KINDS, Golden, goldens
from tests.laws.validity import JUDGES

CASES = list(goldens())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.path.parent.name}/{case.path.stem}")
def test_what_comes_out_is_what_is_written(case: Golden) -> None:
    assert case.path.read_text() == case.text, "read the difference; then: .venv/bin/python -m tests.golden.renew"


def test_every_pair_has_each_kind() -> None:
    there = {(case.client.name, case.upstream.name, case.kind) for case in CASES}
    pairs = itertools.permutations([wire.name for wire in WIRES], 2)
    assert {(*pair, kind) for pair in pairs for kind in KINDS} - there == set()


def test_every_golden_request_is_what_the_upstream_takes() -> None:
    complaints = {}
    for case in CASES:
        if case.kind != "request":
            continue
        request = case.client.parse_request(decoded(case.given), model="a-model")
        try:
            body = case.upstream.render_request(request, case.profile).body
        except Untranslatable:
            continue
        found = list(JUDGES[case.upstream.name](body, case.profile))
        if found:
            complaints[case.path.name] = found
    assert complaints == {}


def decoded(text: str) -> JsonObject:
    value: JsonObject = msgspec.json.decode(text)
    return value
