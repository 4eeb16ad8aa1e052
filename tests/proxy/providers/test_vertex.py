from __future__ import annotations

import pytest

from proxy.providers.vertex import ACCOUNT, PROVIDER, place_of


@pytest.mark.parametrize(
    ("location", "base_url", "place"),
    [
        ("us-central1", "", "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"),
        ("global", "", "https://aiplatform.googleapis.com/v1/projects/p/locations/global"),
        ("eu", "", "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"),
        ("us-east1", "http://127.0.0.1:1/", "http://127.0.0.1:1/v1/projects/p/locations/us-east1"),
        ("us-east1", "https://gate.example/v1", "https://gate.example/v1/projects/p/locations/us-east1"),
    ],
)
def test_where_a_project_is_asked(location: str, base_url: str, place: str) -> None:
    assert place_of("p", location, base_url) == place


def test_a_project_s_name_leads_nowhere_else() -> None:
    assert "/../" not in place_of("p/../../q", "us-east1")
    assert place_of("example.com:p", "us-east1").endswith("/projects/example.com:p/locations/us-east1")


def test_both_ways_offer_the_same_models() -> None:
    assert ACCOUNT.models == PROVIDER.models
    assert ACCOUNT.endpoints.keys() == PROVIDER.endpoints.keys()
    assert ACCOUNT.channel == "vertex"
