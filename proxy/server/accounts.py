"""How the accounts are, for whoever looks: their state, what is under way, what is known of their usage windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auth.credential import Credential
from auth.pool import Pool
from auth.quota import Window
from auth.standing import ALL_MODELS, READY, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """`used`: a share; None: not known, which is not zero. `seconds`: its length. `age_seconds`: of the reading.
    `models`: which it limits, as a wildcard.
    """

    name: str
    used: float | None
    seconds: float | None
    resets_at: float | None
    """Unix seconds."""
    age_seconds: float
    source: str
    models: str
    is_rejected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """One line of `/health?detail=1`. `state`: ``ready``, ``cooling`` … `until`: Unix seconds."""

    id: str
    label: str
    provider: str
    state: str
    until: float | None = None
    why: str | None = None
    in_flight: int = 0
    windows: tuple[WindowState, ...] = ()


def account_states(credentials: Iterable[Credential], pool: Pool, *, now: float, unix: float) -> list[AccountState]:
    """`now`: the pool's clock; `unix`: the same moment."""
    worst: dict[str, Standing] = {}
    for (credential_id, model), standing in pool.standings(now):
        if model == ALL_MODELS or credential_id not in worst:
            worst[credential_id] = standing
    windows: dict[str, list[Window]] = {}
    for credential_id, window in pool.quotas.all():
        if window.is_current(now):
            windows.setdefault(credential_id, []).append(window)
    return [
        _state(each, worst.get(each.id, READY), windows.get(each.id, []), pool.in_flight(each.id), now, unix - now)
        for each in credentials
    ]


def _state(
    credential: Credential, standing: Standing, windows: list[Window], in_flight: int, now: float, offset: float
) -> AccountState:
    """`offset`: Unix seconds minus the pool's."""
    if credential.is_disabled:
        standing = Standing("disabled", "disabled in its configuration")
    return AccountState(
        id=credential.id,
        label=credential.label,
        provider=credential.provider,
        state=standing.state,
        until=None if standing.until is None else standing.until + offset,
        why=standing.why or None,
        in_flight=in_flight,
        windows=tuple(_window(each, now, offset) for each in windows),
    )


def _window(window: Window, now: float, offset: float) -> WindowState:
    return WindowState(
        name=window.name,
        used=None if window.used is None else round(window.used, 4),
        seconds=window.seconds,
        resets_at=None if window.resets_at is None else round(window.resets_at + offset, 1),
        age_seconds=round(now - window.read_at, 1),
        source=window.source,
        models=window.models,
        is_rejected=window.is_rejected,
    )
