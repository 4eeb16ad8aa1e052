"""Taking over the other system's configuration: first a report, and only when asked for it, in force."""

from __future__ import annotations

import asyncio

from management.editing import replace, tree_of
from management.masking import Masked
from management.refusal import Refusal, invalid
from management.routes import YAML, Ask, Parameter, Reply, Route, Schema
from proxy.config.adoption import adopted, report
from proxy.config.load import parse, read
from proxy.errors import ConfigError

OURS = ("auth-dir", "remote-management")
"""Without them the way back here would be lost."""


async def adopt(ask: Ask) -> Reply:
    """With ``?apply=true`` it becomes config.yaml, whole: what stood there is gone."""
    try:
        raw = await asyncio.to_thread(read, ask.state.config_path) or b""
        here = tree_of(raw, ask.state.config_path.name)
        found = adopted((await ask.raw()).decode(), ours={key: here[key] for key in OURS if key in here})
    except UnicodeDecodeError:
        raise invalid("the body is no UTF-8") from None
    except ConfigError as error:
        raise invalid(error.message) from None
    if ask.flag("apply"):
        if not found.is_good:
            raise Refusal(422, "it would be no good configuration", code="invalid_config", report=report(found))
        await replace(ask, found.text)
    shown = Masked(parse(found.text.encode()).config).text(found.text) if found.is_good else ""
    return Reply(body={"applied": bool(ask.flag("apply")), "report": report(found), "config": shown})


_REPLY: Schema = {
    "type": "object",
    "properties": {"applied": {"type": "boolean"}, "report": {"type": "array"}, "config": {"type": "string"}},
}

ROUTES = (
    Route(
        method="POST",
        path="/import/config",
        handler=adopt,
        sentence="The other system's config.yaml: what of it is kept, moved or left out; apply puts it into force.",
        parameters=(Parameter(name="apply", sentence="true: it becomes config.yaml.", schema={"type": "boolean"}),),
        body={"type": "string"},
        body_types=(YAML,),
        reply=_REPLY,
        statuses=(409, 412, 413, 422, 500),
        is_noted=False,
    ),
)
