"""What an answer teaches of the account that gave it: put into the pool, told to the log.

Every head may tell of usage windows; a failure is judged by the table of its wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from auth.pool import Lease
from auth.standing import ALL_MODELS, Setback
from proxy.config.error_rules import ErrorRule
from proxy.dispatch.decision import Candidate, Scope, Verdict
from proxy.dispatch.shared import Shared
from proxy.dispatch.verdict import judge
from proxy.dispatch.windows import Moment, read_quota_failures, read_windows
from proxy.hub.events import Failure

_EVENTS: Mapping[Scope, str] = {"provider": "provider.overloaded", "address": "address.unreachable"}


def observe(
    shared: Shared, candidate: Candidate, lease: Lease, headers: Mapping[str, str], failure: Failure | None
) -> None:
    """`headers`: the upstream's, of whatever answer. `failure`: what it was, if no answer."""
    clock = shared.clock
    moment = Moment(now=clock.monotonic(), unix=clock.unix(), model=candidate.model)
    windows = read_windows(headers, moment)
    if failure is not None and failure.status == 429:
        windows += read_quota_failures(failure, moment)
    if windows:
        credential = candidate.credential
        most = 1 - credential.reserve_percent / 100
        shared.pool.read(credential.id, windows, moment.now, most=most, lease=lease)


def learn(
    shared: Shared,
    candidate: Candidate,
    lease: Lease,
    failure: Failure,
    headers: Mapping[str, str],
    *,
    request_id: str,
) -> Verdict:
    """`headers`: the upstream's."""
    provider, unix = candidate.provider, shared.clock.unix()
    own = cast("tuple[ErrorRule, ...]", candidate.credential.error_rules)
    verdict = judge(provider.wire, failure, headers, unix, candidate.model, rules=(*own, *provider.error_rules))
    if verdict.scope == "none":
        return verdict
    setback = Setback(
        model=ALL_MODELS if verdict.scope in {"credential", "address"} else candidate.model,
        why=verdict.why,
        seconds=verdict.cooldown_seconds,
        is_stated=verdict.is_stated,
        is_transient=verdict.is_transient,
        is_quota=verdict.is_quota,
        is_refused=verdict.is_refused,
        window=verdict.window,
    )
    now, chance = shared.clock.monotonic(), shared.clock.chance()
    owners = {"provider": candidate.provider.name, "address": candidate.address}
    owner = owners.get(verdict.scope)
    if owner is not None:
        standing = shared.pool.fail_shared(lease, owner, setback, now, chance)
    else:
        standing = shared.pool.fail(lease, setback, now, chance)
    shared.log.warning(
        _EVENTS.get(verdict.scope, "credential.cooled"),
        request_id=request_id,
        provider=candidate.provider.name,
        credential=candidate.credential.id,
        model=setback.model,
        state=standing.state,
        seconds=None if standing.until is None else round(standing.until - now, 1),
        why=verdict.why,
    )
    return verdict
