from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from auth.credential import Credential
from proxy.config.schema import AccountModelAlias
from proxy.dispatch.catalogue import NAME_CHARACTERS_MAX, Catalogue, Naming
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.errors import UnknownModel
from proxy.hub.request import Reasoning
from proxy.providers import openai
from proxy.providers.base import Endpoint, Model, Operation, Provider, bearer
from proxy.providers.profiles import profiles


def provider(name: str, *models: str, wire: str = "openai_chat", **fields: Any) -> Provider:
    return Provider(
        name=name,
        wire=wire,
        base_url="http://127.0.0.1:1",
        endpoints={"generate": Endpoint(path="/g"), "embed": Endpoint(path="/e")},
        authorize=bearer,
        profile=profiles("openai_compatible"),
        models=tuple(Model(id=model, context_tokens=1000, output_tokens=100) for model in models),
        **fields,
    )


def credential(name: str, provider_name: str = "p", **fields: Any) -> Credential:
    return Credential(id=name, provider=provider_name, label=name, **fields)


def keys(catalogue: Catalogue, name: str, wire: str = "openai_chat") -> list[tuple[str, str]]:
    return [each.key for each in catalogue.find(name, "generate", wire).candidates]


def test_the_providers_list_is_offered_by_each_of_its_credentials() -> None:
    catalogue = Catalogue([provider("p", "m1", "m2")], [credential("a"), credential("b")])
    assert keys(catalogue, "m1") == [("a", "m1"), ("b", "m1")]
    assert [model.id for model in catalogue.models()] == ["m1", "m2"]


def test_a_credentials_own_models_replace_the_list() -> None:
    catalogue = Catalogue([provider("p", "m1")], [credential("a", models={"nick": ("m9",)})])
    assert keys(catalogue, "nick") == [("a", "m9")]
    with pytest.raises(UnknownModel):
        catalogue.find("m1", "generate", "openai_chat")


def test_one_alias_of_several_models_is_a_pool() -> None:
    catalogue = Catalogue([provider("p")], [credential("a", models={"nick": ("m1", "m2")})])
    found = catalogue.find("nick", "generate", "openai_chat")
    assert [(each.key, each.siblings) for each in found.candidates] == [(("a", "m1"), 2), (("a", "m2"), 2)]


def test_several_aliases_of_one_model() -> None:
    catalogue = Catalogue([provider("p")], [credential("a", models={"x": ("m",), "y": ("m",)})])
    assert keys(catalogue, "x") == keys(catalogue, "y") == [("a", "m")]


def test_a_prefix_offers_the_models_once_more_by_that_credential_alone() -> None:
    catalogue = Catalogue([provider("p", "m")], [credential("a", prefix="team"), credential("b")])
    assert keys(catalogue, "team/m") == [("a", "m")]
    assert keys(catalogue, "m") == [("a", "m"), ("b", "m")]
    assert [model.id for model in catalogue.models()] == ["m", "team/m"]


def test_who_has_a_prefix_may_be_for_requests_that_name_it_alone() -> None:
    kind = provider("p", "m", families=("claude-*",))
    catalogue = Catalogue([kind], [credential("a", prefix="team"), credential("b")], naming=Naming(wants_prefix=True))
    assert keys(catalogue, "team/m") == [("a", "m")]
    assert keys(catalogue, "m") == [("b", "m")]
    assert keys(catalogue, "team/claude-9") == [("a", "claude-9")]
    assert keys(catalogue, "claude-9") == [("b", "claude-9")]
    alone = Catalogue([kind], [credential("a", prefix="team")], naming=Naming(wants_prefix=True))
    assert [model.id for model in alone.models()] == ["team/m"]
    for name in ("m", "claude-9"):
        with pytest.raises(UnknownModel):
            alone.find(name, "generate", "openai_chat")


def test_excluded_models_are_offered_under_no_name() -> None:
    catalogue = Catalogue(
        [provider("p", "m-1", "m-1-preview", families=("m-*",))],
        [credential("a", excluded_models=("*-PREVIEW",)), credential("b", excluded_models=("*",))],
    )
    assert [model.id for model in catalogue.models()] == ["m-1"]
    assert keys(catalogue, "m-1") == [("a", "m-1")]
    with pytest.raises(UnknownModel):
        catalogue.find("m-2-preview", "generate", "openai_chat")


def test_priorities_come_first_and_the_configurations_order_within() -> None:
    catalogue = Catalogue([provider("p", "m")], [credential("a"), credential("b", priority=2), credential("c")])
    assert keys(catalogue, "m") == [("b", "m"), ("a", "m"), ("c", "m")]


def test_disabled_credentials_offer_nothing() -> None:
    catalogue = Catalogue([provider("p", "m")], [credential("a", is_disabled=True)])
    assert catalogue.models() == ()


def test_kinds_of_account_have_aliases_and_exclusions() -> None:
    catalogue = Catalogue(
        [provider("p", "m1", "m2", "m3", channel="codex"), provider("q", "m1")],
        [credential("a"), credential("b", "q")],
        {"codex": (AccountModelAlias(name="m1", alias="nick"), AccountModelAlias(name="m2", alias="nock", fork=True))},
        {"codex": ("m3",)},
    )
    assert keys(catalogue, "nick") == [("a", "m1")]
    assert keys(catalogue, "m1") == [("b", "m1")]
    assert keys(catalogue, "nock") == keys(catalogue, "m2") == [("a", "m2")]
    assert [model.id for model in catalogue.models()] == ["m1", "m2", "nick", "nock"]


@pytest.mark.parametrize(
    ("name", "reasoning"),
    [
        ("m", None),
        ("models/m", None),
        ("m(high)", Reasoning(effort="high")),
        ("m(512)", Reasoning(budget_tokens=512)),
        ("m[1m]", None),
        ("m[1m](low)", Reasoning(effort="low")),
        ("team/m(none)", Reasoning(effort="none")),
    ],
)
def test_readings_of_a_name(name: str, reasoning: Reasoning | None) -> None:
    found = Catalogue([provider("p", "m")], [credential("a", prefix="team")]).find(name, "generate", "gemini")
    assert [each.model for each in found.candidates] == ["m"]
    assert found.reasoning == reasoning


def test_a_name_with_brackets_that_is_offered_is_no_suffix() -> None:
    catalogue = Catalogue([provider("p", "m(high)", "m")], [credential("a")])
    found = catalogue.find("m(high)", "generate", "openai_chat")
    assert (found.candidates[0].model, found.reasoning) == ("m(high)", None)


def test_unlisted_names_go_to_the_family_that_knows_them() -> None:
    catalogue = Catalogue(
        [provider("p", "claude-1", families=("claude-*",)), provider("any", families=("*",))],
        [credential("a"), credential("b", "any"), credential("c", models={"x": ("x",)})],
    )
    assert keys(catalogue, "claude-99-20270101(high)") == [("a", "claude-99-20270101")]
    assert keys(catalogue, "something-else") == [("b", "something-else")]


def test_unlisted_names_behind_a_prefix() -> None:
    catalogue = Catalogue([provider("p", families=("claude-*",))], [credential("a", prefix="team"), credential("b")])
    assert keys(catalogue, "team/claude-9") == [("a", "claude-9")]


def test_the_unknown_are_refused_with_the_nearest_names() -> None:
    catalogue = Catalogue([provider("p", "claude-opus-5")], [credential("a")])
    with pytest.raises(UnknownModel, match=r"did you mean claude-opus-5\?"):
        catalogue.find("claude-opus5", "generate", "openai_chat")
    with pytest.raises(UnknownModel, match="at most"):
        catalogue.find("x" * (NAME_CHARACTERS_MAX + 1), "generate", "openai_chat")


def test_embeddings_stay_at_home() -> None:
    operations: frozenset[Operation] = frozenset({"generate", "embed"})
    catalogue = Catalogue([replace(provider("p"), models=(Model(id="m", operations=operations),))], [credential("a")])
    assert catalogue.find("m", "embed", "openai_chat").candidates
    assert catalogue.find("m", "count_tokens", "anthropic").candidates
    with pytest.raises(UnknownModel, match="embed in this format"):
        catalogue.find("m", "embed", "gemini")


def test_a_model_is_asked_only_for_what_it_does() -> None:
    keyed = replace(openai.PROVIDER, name="p")
    catalogue = Catalogue([keyed], [credential("a")])
    assert catalogue.find("gpt-image-2", "draw", "openai_chat").candidates
    assert catalogue.find("whisper-1", "translate", "openai_chat").candidates
    assert catalogue.find("text-embedding-3-small", "embed", "openai_chat").candidates
    assert catalogue.find("gpt-5", "compact", "openai_responses").candidates
    refused: tuple[tuple[str, Operation, str], ...] = (
        ("gpt-image-2", "generate", "anthropic"),
        ("gpt-5", "draw", "openai_chat"),
        ("whisper-1", "speak", "openai_chat"),
        ("gpt-5", "rerank", "openai_chat"),
        ("gpt-5", "compact", "openai_chat"),
    )
    for name, operation, wire in refused:
        with pytest.raises(UnknownModel, match=f"nobody who serves '{name}' can {operation}"):
            catalogue.find(name, operation, wire)


def test_what_is_not_known_of_a_model_its_provider_will_say() -> None:
    catalogue = Catalogue([replace(openai.PROVIDER, name="p")], [credential("a")])
    assert catalogue.find("gpt-image-9", "draw", "openai_chat").candidates
    assert catalogue.find("tts-7", "speak", "openai_chat").candidates


def test_a_model_that_its_provider_cannot_be_asked_for_is_not_listed() -> None:
    """An account without the endpoint for images does not offer a model that does nothing else."""
    drawing = Model(id="draws", operations=frozenset({"draw"}))
    catalogue = Catalogue([replace(provider("p"), models=(drawing, Model(id="m")))], [credential("a")])
    assert [model.id for model in catalogue.models()] == ["m"]
    with pytest.raises(UnknownModel, match="can draw"):
        catalogue.find("draws", "draw", "openai_chat")


def test_limits_of_a_pool_are_those_that_all_keep() -> None:
    small = Model(id="small", context_tokens=500, output_tokens=200)
    big = Model(id="big", context_tokens=1000, output_tokens=100)
    pooled = provider("p")
    catalogue = Catalogue(
        [Provider(**{**{f: getattr(pooled, f) for f in pooled.__dataclass_fields__}, "models": (small, big)})],
        [credential("a", models={"nick": ("small", "big")})],
    )
    model = catalogue.models()[0]
    assert (model.id, model.context_tokens, model.output_tokens, model.owner) == ("nick", 500, 100, "p")


def test_lookups_are_remembered() -> None:
    catalogue = Catalogue([provider("p", "m")], [credential("a")])
    assert catalogue.find("m(low)", "generate", "gemini") is catalogue.find("m(low)", "generate", "gemini")


class TestWithin:
    def catalogue(self) -> Catalogue:
        return Catalogue(
            [provider("p", "m1", "m2", families=("m*",)), provider("q", "m1", "n1")],
            [
                credential("a", prefix="team"),
                credential("b"),
                credential("c", "q", models={"nick": ("m1", "n1")}),
                credential("d", "q"),
            ],
        )

    def names(self, catalogue: Catalogue) -> list[str]:
        return [model.id for model in catalogue.models()]

    def test_other_accounts_are_not_there(self) -> None:
        part = self.catalogue().within(Reach(accounts=("team",)))
        assert self.names(part) == ["m1", "m2", "team/m1", "team/m2"]
        assert keys(part, "m1") == [("a", "m1")]
        assert keys(part, "m-new") == [("a", "m-new")]
        assert part.accounts() == {"a"}
        for name in ("n1", "nick"):
            with pytest.raises(UnknownModel):
                part.find(name, "generate", "openai_chat")

    def test_nobody_outside_is_suggested(self) -> None:
        with pytest.raises(UnknownModel) as caught:
            self.catalogue().within(Reach(accounts=("team",))).find("nick", "generate", "openai_chat")
        assert "nick or" not in caught.value.message
        assert "did you mean 'n" not in caught.value.message

    def test_other_models_are_not_there(self) -> None:
        part = self.catalogue().within(Reach(models=("m1",)))
        assert self.names(part) == ["m1", "team/m1"], "a name that may be used may be used behind a prefix"
        assert keys(part, "m1") == [("a", "m1"), ("b", "m1"), ("d", "m1")]
        assert keys(part, "m1(high)") == keys(part, "m1[1m]") == keys(part, "models/m1") == keys(part, "m1")
        for name in ("m2", "m-new", "team/m2", "nick"):
            with pytest.raises(UnknownModel, match="this client key is for m1 only"):
                part.find(name, "generate", "openai_chat")

    def test_models_of_a_family_are_asked_for_where_they_may_be(self) -> None:
        part = self.catalogue().within(Reach(models=("m-n*",)))
        assert keys(part, "m-new") == [("a", "m-new"), ("b", "m-new")]
        with pytest.raises(UnknownModel):
            part.find("m-old", "generate", "openai_chat")

    def test_an_alias_may_be_allowed_and_what_is_behind_it_not(self) -> None:
        part = self.catalogue().within(Reach(models=("nick",)))
        assert keys(part, "nick") == [("c", "m1"), ("c", "n1")]
        assert self.names(part) == ["nick"]

    def test_turns_are_taken_among_those_who_see_the_same_accounts(self) -> None:
        catalogue = self.catalogue()
        groups = {
            catalogue.within(reach).find("m1", "generate", "openai_chat").group
            for reach in (EVERYTHING, Reach(models=("m*",)), Reach(accounts=("a",)), Reach(("m1",), ("a",)))
        }
        assert groups == {"m1", ("m1", ("a",))}

    def test_it_is_made_once(self) -> None:
        catalogue = self.catalogue()
        assert catalogue.within(EVERYTHING) is catalogue
        assert catalogue.within(Reach(("m1",))) is catalogue.within(Reach(("m1",)))

    def test_nobody_may_be_left(self) -> None:
        part = self.catalogue().within(Reach(accounts=("nobody",)))
        assert self.names(part) == []
        with pytest.raises(UnknownModel):
            part.find("m1", "generate", "openai_chat")


class TestModelMap:
    @staticmethod
    def catalogue(**mapped: str) -> Catalogue:
        names = {name.replace("_", "-").replace("any", "*"): target for name, target in mapped.items()}
        providers = [provider("p", "gpt-x", "gpt-mini", families=("gpt-*",)), provider("q", "sonnet")]
        return Catalogue(providers, [credential("a"), credential("b", "q")], naming=Naming(mapped=names))

    def test_a_name_stands_for_another_s_model(self) -> None:
        catalogue = self.catalogue(gpt_x="sonnet")
        assert keys(catalogue, "gpt-x") == [("b", "sonnet")], "although somebody offers it"
        assert [model.id for model in catalogue.models()] == ["gpt-mini", "gpt-x", "sonnet"]
        assert catalogue.models()[1].owner == "q"

    def test_a_suffix_goes_along_and_one_of_the_target_is_the_default(self) -> None:
        catalogue = self.catalogue(gpt_x="sonnet(low)")
        assert catalogue.find("gpt-x", "generate", "openai_chat").reasoning == Reasoning(effort="low")
        assert catalogue.find("gpt-x(high)", "generate", "openai_chat").reasoning == Reasoning(effort="high")

    def test_a_wildcard(self) -> None:
        catalogue = self.catalogue(gpt_any="sonnet", gpt_mini="gpt-mini")
        assert keys(catalogue, "GPT-9") == keys(catalogue, "models/gpt-x") == [("b", "sonnet")]
        assert keys(catalogue, "gpt-mini") == [("a", "gpt-mini")], "a name that is named beats it"
        found = catalogue.find("gpt-9[1m](high)", "generate", "openai_chat")
        assert (found.name, found.reasoning) == ("sonnet", Reasoning(effort="high"))

    def test_a_wildcard_that_fits_its_own_target(self) -> None:
        assert keys(self.catalogue(gpt_any="gpt-x"), "gpt-x") == [("a", "gpt-x")]
        assert keys(self.catalogue(gpt_any="gpt-x"), "gpt-9") == [("a", "gpt-x")]

    def test_a_target_that_is_listed_nowhere(self) -> None:
        assert keys(self.catalogue(nick="gpt-9"), "nick") == [("a", "gpt-9")]

    def test_a_target_that_nobody_offers_changes_nothing(self) -> None:
        assert keys(self.catalogue(gpt_x="nobody"), "gpt-x") == [("a", "gpt-x")]

    def test_no_chains(self) -> None:
        assert keys(self.catalogue(one="gpt-x", gpt_x="sonnet"), "one") == [("a", "gpt-x")]

    def test_a_key_may_be_for_the_other_name_alone(self) -> None:
        catalogue = self.catalogue(gpt_x="sonnet").within(Reach(models=("gpt-x",)))
        assert keys(catalogue, "gpt-x") == [("b", "sonnet")]
        with pytest.raises(UnknownModel):
            catalogue.find("sonnet", "generate", "openai_chat")


class TestOnly:
    CATALOGUE = Catalogue([provider("p", "m"), provider("q", "m")], [credential("a"), credential("b", "q")])

    def test_by_provider_and_account(self) -> None:
        assert keys(self.CATALOGUE.within(Reach(only=(("q",),))), "m") == [("b", "m")]
        assert keys(self.CATALOGUE.within(Reach(only=(("p", "q"), ("A",)))), "m") == [("a", "m")]

    def test_nobody_is_like_that(self) -> None:
        with pytest.raises(UnknownModel, match=r"no account as asked for \(q and a\) serves 'm'"):
            self.CATALOGUE.within(Reach(only=(("q",), ("a",)))).find("m", "generate", "openai_chat")

    def test_it_never_widens_a_key(self) -> None:
        with pytest.raises(UnknownModel):
            self.CATALOGUE.within(Reach(accounts=("a",), only=(("b",),))).find("m", "generate", "openai_chat")

    def test_what_requests_ask_for_is_not_hoarded(self) -> None:
        for number in range(3000):
            self.CATALOGUE.within(Reach(only=((f"n{number}",),)))
        assert len(self.CATALOGUE._parts) <= 1024
