from __future__ import annotations

import pytest

from proxy.hub.parts import Media


@pytest.mark.parametrize(
    ("media", "text"),
    [
        (Media(kind="document", media_type="text/plain", data="aMOp"), "hé"),
        (Media(kind="document", media_type="text/csv", data="/w=="), "\ufffd"),
        (Media(kind="document", media_type="text/plain", data="a"), None),
        (Media(kind="document", media_type="application/pdf", data="aGk="), None),
        (Media(kind="document", media_type="text/plain", url="https://a.test"), None),
    ],
    ids=str,
)
def test_plain_text(media: Media, text: str | None) -> None:
    assert media.plain_text == text
