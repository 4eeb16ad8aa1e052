from __future__ import annotations

from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject
from proxy.providers.claude_cli import limits
from proxy.providers.claude_code import PROVIDER


def test_what_the_cli_fills_in_by_itself_is_taken_out_and_named() -> None:
    body: JsonObject = {
        "model": "m",
        "metadata": {"user_id": "ada"},
        "cache_control": {"type": "ephemeral"},
        "temperature": 1,
    }
    limited = limits(body)
    assert body == {"model": "m", "temperature": 1}
    assert [loss.path for loss in limited.losses] == ["metadata", "cache_control"]
    assert limits(body).losses == ()
    assert isinstance(limited.losses[0], Loss)


def test_what_its_messages_cannot_say_is_no_ability_of_the_model() -> None:
    assert PROVIDER.cli_profile is not None
    for model in ("claude-sonnet-5", "claude-haiku-4-5"):
        ours, direct = PROVIDER.cli_profile(model), PROVIDER.profile(model)
        assert (ours.has_mid_system, ours.has_cache_marks, ours.has_prefill) == (False, False, False)
        assert (ours.sampling, ours.thinking, ours.media) == (direct.sampling, direct.thinking, direct.media)
