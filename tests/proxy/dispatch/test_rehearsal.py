"""A dry run and the same in earnest: for any pool, any past and any request they say the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, event, given, settings
from multidict import CIMultiDict

from auth.secret import Secret
from auth.standing import ALL_MODELS, Setback
from proxy.config.provider_keys import ModelAlias, ProviderKey
from proxy.config.schema import Config, QuotaExceeded, Routing
from proxy.dispatch.decision import Decision
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.inquiry import Inquiry, Refused, Tie
from proxy.dispatch.own_key import OwnKey
from proxy.errors import ProxyError
from proxy.providers import anthropic

ROUNDS = max(300, 20 * int(os.environ.get("PROXY_FAULT_ROUNDS", "2")))
MODELS = ("m", "n", "m-preview")
SESSIONS = ("", "s", "s", "t")
CLIENTS = ("", "c")
ANTHROPIC = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
RESPONSES = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None,
    "output": [
        {
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}  # fmt: skip


@dataclass(frozen=True)
class Account:
    """`is_codex`: of OpenAI, which another wire is spoken with."""

    priority: int
    weight: int
    concurrency: int
    is_codex: bool
    is_excluded: bool


@dataclass(frozen=True)
class Request:
    model: str
    wire: str
    client: str
    session: str
    has_file: bool
    is_strict: bool
    is_own: bool
    tie: int | None
    is_hard: bool


@dataclass(frozen=True)
class Setting:
    accounts: tuple[Account, ...]
    routing: dict[str, Any]
    switches_preview: bool


@dataclass
class Trial:
    """One world: what happened in it, step by step."""

    lab: Any
    make: Any
    setting: Setting
    dispatcher: Dispatcher = field(init=False)

    def __post_init__(self) -> None:
        def keys(*, is_codex: bool) -> tuple[ProviderKey, ...]:
            return tuple(
                ProviderKey(
                    api_key=Secret(f"key-{number}"),
                    priority=each.priority,
                    weight=each.weight,
                    concurrency=each.concurrency,
                    models=tuple(ModelAlias(name=name) for name in MODELS),
                    excluded_models=("m",) if each.is_excluded else (),
                )
                for number, each in enumerate(self.setting.accounts)
                if each.is_codex is is_codex
            )

        config = Config(
            claude_api_key=keys(is_codex=False),
            codex_api_key=keys(is_codex=True),
            routing=Routing(**self.setting.routing),
            quota_exceeded=QuotaExceeded(switch_preview_model=self.setting.switches_preview),
            request_retry=0,
            max_retry_interval=0,
            own_provider_keys=True,
        )
        self.dispatcher = self.lab.dispatcher(
            config, lambda call: self.make.whole(RESPONSES if call.url.endswith("/responses") else ANTHROPIC)
        )

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.lab.snapshot.credentials]

    def inquiry(self, asked: Request) -> Inquiry:
        content: Any = "x"
        if asked.has_file and asked.wire == "anthropic":
            content = [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]
        headers = CIMultiDict({"x-claude-code-session-id": asked.session} if asked.session else {})
        body = {"model": asked.model, "max_tokens": 9, "top_k": 3, "messages": [{"role": "user", "content": content}]}
        if asked.wire != "anthropic":
            body = {"model": asked.model, "logit_bias": {"1": 1}, "messages": [{"role": "user", "content": "x"}]}
        tie = None if asked.tie is None else Tie(self.ids[asked.tie % len(self.ids)], is_hard=asked.is_hard)
        inquiry: Inquiry = self.lab.inquiry(
            asked.wire,
            body,
            headers=headers,
            client=asked.client,
            is_strict=asked.is_strict,
            tie=tie,
            own_key=OwnKey(anthropic.PROVIDER, Secret("own-key")) if asked.is_own else None,
        )
        return inquiry

    def rehearsed(self, inquiry: Inquiry) -> Decision | None:
        """None: it cannot even be tried."""
        try:
            return self.dispatcher.explain(inquiry)
        except ProxyError:
            return None

    async def served(self, inquiry: Inquiry) -> Decision | None:
        """The first decision of it by which somebody was chosen; None: nobody was asked."""
        self.dispatcher.recent.clear()
        calls = len(self.lab.upstream.calls)
        try:
            await self.lab.read(await self.dispatcher.open(inquiry))
        except Refused:
            assert len(self.lab.upstream.calls) == calls, "nothing fails here but for want of somebody to ask"
        return next((each for _, each in self.dispatcher.recent if each.chosen is not None), None)

    def state(self) -> object:
        """What must stay as it is."""
        now, pool = self.lab.time.now, self.lab.pool
        affinity = self.dispatcher._shared.affinity
        return (
            [*pool.standings(now)],
            [(each, pool.in_flight(each)) for each in self.ids],
            {key: place for key, place in affinity._places.items() if place.expires_at > now},
            [*self.dispatcher.recent],
        )

    async def ask(self, asked: Request) -> None:
        inquiry = self.inquiry(asked)
        before = self.state()
        dry = [self.rehearsed(inquiry) for _ in range(2)]
        assert self.state() == before, "a dry run changes nothing"
        assert dry[0] == dry[1]
        real = await self.served(inquiry)
        said = None if dry[0] is None or dry[0].chosen is None else (dry[0].chosen, dry[0].rule)
        assert said == (None if real is None else (real.chosen, real.rule))
        event("refused unheard" if dry[0] is None else dry[0].rule)

    def hurt(self, which: int, model: str | None, setback: Setback) -> None:
        lease = self.lab.pool.lend((self.ids[which % len(self.ids)], model or MODELS[0]), self.lab.time.now)
        self.lab.pool.fail(lease, setback, self.lab.time.now)
        self.lab.pool.give_back(lease)

    def overload(self, setback: Setback) -> None:
        pool, now = self.lab.pool, self.lab.time.now
        provider = self.lab.snapshot.credentials[0].provider
        lease = pool.lend((self.ids[0], setback.model), now, shared=(provider,))
        pool.fail_shared(lease, provider, setback, now)
        pool.give_back(lease)

    def occupy(self, which: int, model: str) -> None:
        credential = self.lab.snapshot.credentials[which % len(self.ids)]
        self.lab.pool.lend((credential.id, model), self.lab.time.now, at_most=credential.concurrency)

    def wait(self, seconds: float) -> None:
        self.lab.time.now += seconds


accounts = st.builds(
    Account,
    priority=st.integers(0, 1),
    weight=st.integers(0, 3),
    concurrency=st.sampled_from([0, 0, 1]),
    is_codex=st.booleans(),
    is_excluded=st.sampled_from([False] * 7 + [True]),
)
routings = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["round-robin", "weighted-round-robin", "fill-first", "quota-aware"]),
        "session_affinity": st.booleans(),
        "prefix_affinity": st.booleans(),
        "fallbacks": st.sampled_from([{}, {"m": ("n",)}]),
    }
)
worlds = st.builds(
    Setting,
    accounts=st.lists(accounts, min_size=1, max_size=4).map(tuple),
    routing=routings,
    switches_preview=st.booleans(),
)
requests = st.builds(
    Request,
    model=st.sampled_from(MODELS[:2]),
    wire=st.sampled_from(["anthropic", "openai_chat"]),
    client=st.sampled_from(CLIENTS),
    session=st.sampled_from(SESSIONS),
    has_file=st.sampled_from([False, False, True]),
    is_strict=st.sampled_from([False] * 5 + [True]),
    is_own=st.sampled_from([False] * 7 + [True]),
    tie=st.one_of(*[st.none()] * 5, st.integers(0, 3)),
    is_hard=st.sampled_from([False, False, True]),
)
which = st.integers(0, 3)
setbacks = st.builds(
    Setback,
    model=st.sampled_from([*MODELS, ALL_MODELS]),
    why=st.just("it failed"),
    seconds=st.sampled_from([1.0, 20.0, 600.0, None]),
    is_transient=st.booleans(),
    is_quota=st.booleans(),
    is_refused=st.booleans(),
)
Step = Callable[[Trial], Any]
steps = st.one_of(
    *[st.builds(lambda asked: lambda trial: trial.ask(asked), requests)] * 4,
    st.builds(
        lambda at, model, setback: lambda trial: trial.hurt(at, model, setback),
        which,
        st.sampled_from(MODELS),
        setbacks,
    ),
    st.builds(lambda setback: lambda trial: trial.overload(setback), setbacks),
    st.builds(lambda at, model: lambda trial: trial.occupy(at, model), which, st.sampled_from(MODELS)),
    st.builds(lambda at: lambda trial: trial.lab.pool.disable(trial.ids[at % len(trial.ids)]), which),
    st.builds(lambda seconds: lambda trial: trial.wait(seconds), st.sampled_from([0.5, 2.0, 30.0, 4000.0])),
)


@given(setting=worlds, script=st.lists(steps, max_size=20), last=requests)
@settings(max_examples=ROUNDS, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_said_is_what_is_done(lab: Any, make: Any, setting: Setting, script: list[Step], last: Request) -> None:
    async def run() -> None:
        trial = Trial(type(lab)(), make, setting)
        for step in script:
            happening = step(trial)
            if happening is not None:
                await happening
        await trial.ask(last)

    asyncio.run(run())
