from __future__ import annotations

import re

from proxy.upstream.acp_words import VARIABLES, spelled_out


def test_each_word_is_itself_again_when_variables_are_filled_in() -> None:
    words = ["$HOME", "${PATH:-x}", "costs $5", "$$", "plain", "${RELAY_DOLLAR}"]
    spelled = spelled_out({"$ref": [*words, 3, None, True]})
    assert isinstance(spelled, dict)
    told = spelled["$ref"]
    assert isinstance(told, list)
    environment = {"HOME": "/secret", "PATH": "/secret", **VARIABLES}
    read = [
        re.sub(r"\$(?:(\w+)|{([^}]+)})", lambda found: environment[found[1] or found[2]], str(each)) for each in told
    ]
    assert read == [*words, "3", "None", "True"]
