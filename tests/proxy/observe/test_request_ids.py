from __future__ import annotations

from proxy.observe.request_ids import AT_ONCE, ID_CHARACTERS, TIME_CHARACTERS, RequestIds


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


def test_they_sort_as_they_came() -> None:
    seconds = iter([0.0, 1_795_188_000.123, 1_795_188_000.124, 1_795_188_001.0, 2.0**34])
    ids = RequestIds(now=lambda: next(seconds))
    drawn = [ids.next() for _ in range(5)]
    assert drawn == sorted(drawn)
    assert len({each[:TIME_CHARACTERS] for each in drawn}) == 5
    assert {len(each) for each in drawn} == {ID_CHARACTERS}
