from __future__ import annotations

from proxy.observe.request_ids import AT_ONCE, ID_CHARACTERS, RequestIds


def test_each_is_another_and_is_vouched_for() -> None:
    vouched: list[str] = []

    def vouch(text: str) -> str:
        vouched.append(text)
        return text

    ids = RequestIds(vouch)
    drawn = [ids.next() for _ in range(3 * AT_ONCE)]
    assert len(set(drawn)) == len(drawn)
    assert vouched == drawn
    assert {len(each) for each in drawn} == {ID_CHARACTERS}
    assert set("".join(drawn)) <= set("0123456789abcdef")
