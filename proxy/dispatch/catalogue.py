"""From the name that a client asks for to the candidates that can serve it.

A name is looked up as it stands; then without an effort suffix (`proxy.dispatch.suffix`), ``models/`` in front or
``[1m]`` behind; then, for names that nobody lists, by the families of the providers. Names come from:

* a credential's own `models` (client's name → one upstream model, or a pool of them), else the list that its provider
  gave for it, else the provider's built-in one;
* `oauth-model-alias` and `oauth-excluded-models`, by the provider's kind of account (`Provider.channel`);
* the credential's prefix: each name is also offered as ``prefix/name``, by that credential alone; with
  `force-model-prefix` only so;
* `model-map`: a name that stands for another, whoever offers that.

Upstream models that a wildcard of `excluded-models` fits are offered under no name. `within` is what
one client sees of it all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from types import MappingProxyType

from auth.credential import Credential
from proxy.config.schema import AccountModelAlias
from proxy.dispatch.decision import Candidate
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.dispatch.suffix import split_suffix
from proxy.errors import UnknownModel
from proxy.hub.request import Reasoning
from proxy.providers.base import OF_TEXT, Model, Operation, Provider
from proxy.providers.profiles import known_model

REMEMBERED_MAX = 4096
NAME_CHARACTERS_MAX = 256
INDEXES_MAX = 1024
PARTS_MAX = 1024
"""What requests ask for in headers is theirs to choose."""

_NO_ALIASES: Mapping[str, tuple[AccountModelAlias, ...]] = MappingProxyType({})
_NO_EXCLUSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_NO_LISTS: Mapping[str, tuple[Model, ...]] = MappingProxyType({})
_INDEXES: dict[int, tuple[tuple[Model, ...], Mapping[str, Model]]] = {}
_CROSSING: frozenset[Operation] = frozenset({"generate", "count_tokens"})


@dataclass(frozen=True, slots=True)
class Found:
    """`name`: as the catalogue has it. `reasoning`: what its suffix said. `candidates`: the highest priority first,
    then in the order of the configuration; never empty. `accounts`: the client's `Reach.names`.
    """

    name: str
    candidates: tuple[Candidate, ...]
    reasoning: Reasoning | None = None
    accounts: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = field(init=False, compare=False, repr=False)
    """Of the candidates, each once."""

    def __post_init__(self) -> None:
        providers = {each.provider.name: each.provider for each in self.candidates}
        object.__setattr__(self, "providers", tuple(providers.values()))

    @property
    def group(self) -> Hashable:
        """What turns are counted by, and waited in."""
        return (self.name, self.accounts) if self.accounts else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """`mapped`: client's name, or a wildcard, → the name that it stands for. `wants_prefix`: who has a prefix is asked
    by it alone.
    """

    mapped: Mapping[str, str] = field(default_factory=dict)
    wants_prefix: bool = False


@dataclass(frozen=True, slots=True)
class _Source:
    """One credential and what it offers: client's name → upstream models."""

    provider: Provider
    credential: Credential
    names: Mapping[str, tuple[str, ...]]
    excluded: tuple[str, ...]
    is_plain: bool
    """Its names stand without its prefix, too."""

    def prefixed(self, name: str) -> Iterator[str]:
        if self.is_plain:
            yield name
        if self.credential.prefix:
            yield f"{self.credential.prefix}/{name}"

    def readings(self, name: str) -> Iterator[str]:
        """What a client may mean by a name that nobody lists."""
        if self.is_plain:
            yield name
        if self.credential.prefix and (bare := name.removeprefix(f"{self.credential.prefix}/")) != name:
            yield bare

    def takes_unlisted(self, name: str) -> bool:
        """Whether the provider may be asked for a name that nobody lists. Whoever lists models wants those alone."""
        return (
            not self.credential.models
            and any(fnmatchcase(name, pattern) for pattern in self.provider.families)
            and not _is_excluded(name, self.excluded)
        )


class Catalogue:
    """Immutable, but for what it remembers of earlier lookups."""

    def __init__(
        self,
        providers: Iterable[Provider],
        credentials: Iterable[Credential],
        aliases: Mapping[str, tuple[AccountModelAlias, ...]] = _NO_ALIASES,
        exclusions: Mapping[str, tuple[str, ...]] = _NO_EXCLUSIONS,
        *,
        listed: Mapping[str, tuple[Model, ...]] = _NO_LISTS,
        is_lost: Callable[[str], bool] = lambda _credential: False,
        naming: Naming | None = None,
    ) -> None:
        """`listed`: by credential. `is_lost`: whether a human has to act before a credential can serve again. Its
        models are not shown, and may be asked for all the same.
        """
        naming = naming or Naming()
        by_name = {provider.name: provider for provider in providers}
        self._is_lost = is_lost
        self._sources = [
            _source(
                _relisted(by_name[each.provider], listed.get(each.id, ())),
                each,
                aliases,
                exclusions,
                is_plain=not (naming.wants_prefix and each.prefix),
            )
            for each in sorted(credentials, key=lambda each: -each.priority)
            if each.provider in by_name and not each.is_disabled
        ]
        self._offers: dict[str, list[Candidate]] = {}
        for source in self._sources:
            for name, upstream in source.names.items():
                pool = [Candidate(source.provider, source.credential, model, len(upstream)) for model in upstream]
                for each in source.prefixed(name):
                    self._offers.setdefault(each, []).extend(pool)
        self._reach = EVERYTHING
        self._wildcards = {name: target for name, target in naming.mapped.items() if "*" in name or "?" in name}
        self._efforts: dict[str, Reasoning | None] = {}
        """Of names that stand for others."""
        stand_ins = (
            (name, self._meant(target)) for name, target in naming.mapped.items() if name not in self._wildcards
        )
        for name, (candidates, reasoning) in [each for each in stand_ins if each[1][0]]:
            self._offers[name], self._efforts[name] = candidates, reasoning
        self._remembered: dict[tuple[str, Operation, str], Found] = {}
        self._parts: dict[Reach, Catalogue] = {}

    def within(self, reach: Reach) -> Catalogue:
        """What one client sees of it."""
        if reach == self._reach:
            return self
        part = self._parts.get(reach)
        if part is None:
            if len(self._parts) >= PARTS_MAX:
                self._parts.clear()
            part = self._parts[reach] = self._part(reach)
        return part

    def _part(self, reach: Reach) -> Catalogue:
        part = Catalogue((), (), is_lost=self._is_lost)
        part._reach = reach
        part._wildcards, part._efforts = self._wildcards, self._efforts
        part._sources = [source for source in self._sources if reach.sees(source.credential)]
        offers = ((name, _within(name, candidates, reach)) for name, candidates in self._offers.items())
        part._offers = {name: candidates for name, candidates in offers if candidates}
        return part

    def accounts(self) -> Collection[str]:
        """The ids of those that may serve."""
        return {source.credential.id for source in self._sources}

    def models(self) -> tuple[Model, ...]:
        """For clients' lists: under the client's names, sorted, unique; none that could be asked for nothing. Where
        several upstream models stand behind one name, the limits are those that all of them keep.
        """
        lost = {each for each in self.accounts() if self._is_lost(each)}
        described = []
        for name in sorted(self._offers):
            offers = [each for each in self._offers[name] if each.credential.id not in lost]
            if offers:
                described.append(_described(name, offers))
        return tuple(model for model in described if model.operations)

    def find(self, name: str, operation: Operation, wire: str) -> Found:
        """`wire`: the client's; some operations are served at home only. Raises `UnknownModel`."""
        found = self._remembered.get((name, operation, wire))
        if found is None:
            found = self._find(name, operation, wire)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[name, operation, wire] = found
        return found

    def _find(self, name: str, operation: Operation, wire: str) -> Found:
        if len(name) > NAME_CHARACTERS_MAX:
            raise UnknownModel(
                f"a model's name has at most {NAME_CHARACTERS_MAX} characters, not {len(name)}", code="model_not_found"
            )
        readings = list(_readings(self._redirected(name)))
        known = False
        # A list says what a name means; without one, what looks like a suffix is one.
        for lookup, likeliest_first in ((self._listed, readings), (self._unlisted, readings[::-1])):
            for reading, reasoning in likeliest_first:
                candidates = lookup(reading)
                able = _able(candidates, operation, wire)
                if able:
                    return Found(reading, able, reasoning or self._efforts.get(reading), self._reach.names)
                known = known or bool(candidates)
        if known:
            raise UnknownModel(
                f"nobody who serves {name!r} can {operation.replace('_', ' ')} in this format", code="model_not_found"
            )
        if not any(self._reach.may_name(reading) for reading, _ in readings):
            only = ", ".join(self._reach.models)
            raise UnknownModel(f"this client key is for {only} only, not for {name!r}", code="model_not_found")
        if self._reach.only:
            wanted = " and ".join("/".join(each) for each in self._reach.only)
            raise UnknownModel(f"no account as asked for ({wanted}) serves {name!r}", code="backend_not_found")
        nearest = get_close_matches(readings[-1][0], self._offers, n=3)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else "the list of models names those there are"
        raise UnknownModel(f"no credential serves a model named {name!r}; {hint}", code="model_not_found")

    def _meant(self, target: str) -> tuple[list[Candidate], Reasoning | None]:
        """By a name that another stands for."""
        for lookup in (self._listed, self._unlisted):
            for reading, reasoning in _readings(target):
                if candidates := lookup(reading):
                    return [*candidates], reasoning
        return [], None

    def _redirected(self, name: str) -> str:
        """By a wildcard of `model-map`, with its suffix."""
        bare, _ = split_suffix(name.removeprefix("models/"))
        suffix = name.removeprefix("models/")[len(bare) :]
        stem = bare.removesuffix("[1m]")
        if stem in self._efforts:
            return name
        for pattern, target in self._wildcards.items():
            if fnmatchcase(stem.lower(), pattern.lower()) and stem != split_suffix(target)[0]:
                return target if split_suffix(target)[1] is not None else target + suffix
        return name

    def _listed(self, name: str) -> Sequence[Candidate]:
        return self._offers.get(name, ())

    def _unlisted(self, name: str) -> Sequence[Candidate]:
        found = []
        for source in self._sources:
            for reading in source.readings(name):
                if source.takes_unlisted(reading) and self._reach.may_name(reading):
                    found.append(Candidate(source.provider, source.credential, reading))
                    break
        # A provider that knows such names is meant, before those that take any.
        named = [each for each in found if "*" not in each.provider.families]
        return named or found


def _within(name: str, candidates: list[Candidate], reach: Reach) -> list[Candidate]:
    """A name that may be used may be used behind an account's prefix, too."""
    seen = [each for each in candidates if reach.sees(each.credential)]
    if reach.may_name(name):
        return seen
    return [
        each
        for each in seen
        if (bare := name.removeprefix(f"{each.credential.prefix}/")) != name and reach.may_name(bare)
    ]


def _readings(name: str) -> Iterator[tuple[str, Reasoning | None]]:
    """The name, and what else it may mean, the likeliest first."""
    bare = name.removeprefix("models/")
    without, reasoning = split_suffix(bare)
    for reading in dict.fromkeys((name, bare)):
        yield reading, None
    if reasoning is not None:
        yield without, reasoning
    for reading, effort in ((bare, None), (without, reasoning)):
        if reading.endswith("[1m]"):  # Claude Code marks the long context so
            yield reading.removesuffix("[1m]"), effort
    inner, reasoning = split_suffix(bare.removesuffix("[1m]"))
    if reasoning is not None and bare.endswith("[1m]"):
        yield inner, reasoning


def meanings(name: str) -> list[str]:
    """The names of models that a client may mean by it, the likeliest first: with and without its suffix."""
    return list(dict.fromkeys(reading for reading, _ in _readings(name)))


def _relisted(provider: Provider, models: tuple[Model, ...]) -> Provider:
    """As it is for a credential of whose models it has given a list."""
    return replace(provider, models=models) if models else provider


def _source(
    provider: Provider,
    credential: Credential,
    aliases: Mapping[str, tuple[AccountModelAlias, ...]],
    exclusions: Mapping[str, tuple[str, ...]],
    *,
    is_plain: bool,
) -> _Source:
    excluded = credential.excluded_models + exclusions.get(provider.channel, ())
    names = dict(credential.models) or {model.id: (model.id,) for model in provider.models}
    for alias in aliases.get(provider.channel, ()):
        upstream = names.get(alias.name, (alias.name,))
        names[alias.alias] = (*names.get(alias.alias, ()), *upstream)
    for alias in aliases.get(provider.channel, ()):
        if not alias.fork and alias.alias != alias.name:
            names.pop(alias.name, None)
    kept = {name: tuple(m for m in models if not _is_excluded(m, excluded)) for name, models in names.items()}
    return _Source(provider, credential, {name: models for name, models in kept.items() if models}, excluded, is_plain)


def _is_excluded(model: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(model.lower(), pattern.lower()) for pattern in patterns)


def _able(candidates: Sequence[Candidate], operation: Operation, wire: str) -> tuple[Candidate, ...]:
    """Those that can. Tokens are counted by those that have a counter; by estimate only where nobody has one."""
    able = tuple(each for each in candidates if _can(each, operation, wire))
    if operation != "count_tokens":
        return able
    return tuple(each for each in able if operation in each.provider.endpoints) or able


def _can(candidate: Candidate, operation: Operation, wire: str) -> bool:
    provider = candidate.provider
    if not _does(candidate, operation):
        return False
    if operation in _CROSSING:
        return "generate" in provider.endpoints
    return operation in provider.endpoints and provider.speaks(operation) == wire


def _does(candidate: Candidate, operation: Operation) -> bool:
    """Nothing is known of a model that is listed nowhere: its provider will say."""
    model = _known(candidate)
    if model is None or operation in model.operations:
        return True
    return operation in OF_TEXT and "generate" in model.operations


def _described(name: str, candidates: Sequence[Candidate]) -> Model:
    upstream = {each.model: _upstream_model(each) for each in candidates}
    first = next(iter(upstream.values()))
    return replace(
        first,
        id=name,
        display_name=first.display_name if len(upstream) == 1 else None,
        context_tokens=_least(model.context_tokens for model in upstream.values()),
        output_tokens=_least(model.output_tokens for model in upstream.values()),
        owner=first.owner or candidates[0].provider.name,
        operations=frozenset().union(*(_operations(each) for each in candidates)),
    )


def _known(candidate: Candidate) -> Model | None:
    model = _by_id(candidate.provider.models).get(candidate.model) or known_model(candidate.model)
    return model if model != Model(id=candidate.model) else None


def _by_id(models: tuple[Model, ...]) -> Mapping[str, Model]:
    """Kept: a provider's own list may be long, and is the same for each look."""
    kept = _INDEXES.get(id(models))
    if kept is None or kept[0] is not models:
        if len(_INDEXES) >= INDEXES_MAX:
            _INDEXES.clear()
        kept = _INDEXES[id(models)] = (models, {model.id: model for model in reversed(models)})
    return kept[1]


def _upstream_model(candidate: Candidate) -> Model:
    return _known(candidate) or Model(id=candidate.model)


def _operations(candidate: Candidate) -> frozenset[Operation]:
    return _upstream_model(candidate).operations & (_CROSSING | frozenset(candidate.provider.endpoints))


def _least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
