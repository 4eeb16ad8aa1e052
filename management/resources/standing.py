"""What is held against accounts, how much of their windows is used, and the models that they serve together."""

from __future__ import annotations

from management.accounts import found, windows_of
from management.refusal import invalid
from management.routes import Ask, Parameter, Reply, Route, Schema
from management.state import auth_index
from proxy.providers.enrolled import LOGIN_PROVIDERS
from proxy.providers.table import PROVIDERS


async def list_cooldowns(ask: Ask) -> Reply:
    state = ask.state
    labels = {each.id: each for each in state.snapshot().credentials}
    told = [
        {
            "account": credential_id,
            "auth_index": auth_index(credential_id),
            "label": labels[credential_id].label if credential_id in labels else "",
            "provider": labels[credential_id].provider if credential_id in labels else "",
            "model": model,
            "state": standing.state,
            "why": standing.why,
            "until": None if standing.until is None else round(standing.until + state.offset, 3),
            "is_transient": standing.is_transient,
        }
        for (credential_id, model), standing in state.pool.standings(state.clock.monotonic())
        if standing.state != "disabled"
    ]
    return Reply(body={"cooldowns": told})


async def clear_cooldowns(ask: Ask) -> Reply:
    """Of one account, or one model of it, or, without a name, all."""
    state, model = ask.state, ask.query.get("model") or None
    name, index = ask.query.get("name"), ask.query.get("auth_index") or ask.query.get("account")
    if name or index:
        cleared = [found(state, name, index).id]
    elif model is not None:
        raise invalid("name the account whose model is meant")
    else:
        cleared = sorted({credential_id for (credential_id, _), _ in state.pool.standings(state.clock.monotonic())})
    for each in cleared:
        state.pool.reset(each, model)
    ask.changes["cooldowns"] = {"cleared": cleared, "model": model}
    return Reply(body={"status": "ok", "cleared": cleared})


async def reset_quota(ask: Ask) -> Reply:
    body = await ask.json()
    index = body.get("auth_index") if isinstance(body, dict) else None
    if not isinstance(index, str):
        raise invalid("auth_index is needed")
    state = ask.state
    account = found(state, None, index)
    models = sorted(model for (each, model), _ in state.pool.standings(state.clock.monotonic()) if each == account.id)
    state.pool.reset(account.id)
    ask.changes["quota"] = {"reset": account.id}
    return Reply(body={"status": "ok", "auth_index": auth_index(account.id), "models": models})


async def get_quota(ask: Ask) -> Reply:
    """Of each account what its provider told in passing, with its age; nothing is asked of anybody."""
    state = ask.state
    windows = windows_of(state.pool, state.clock.monotonic(), state.offset)
    return Reply(
        body={
            "accounts": [
                {
                    "account": each.id,
                    "auth_index": auth_index(each.id),
                    "label": each.label,
                    "provider": each.provider,
                    "windows": windows.get(each.id, []),
                }
                for each in state.snapshot().credentials
            ]
        }
    )


async def list_models(ask: Ask) -> Reply:
    catalogue = ask.state.snapshot().catalogue
    return Reply(
        body={
            "models": [
                {
                    "id": model.id,
                    "display_name": model.display_name or model.id,
                    "context_tokens": model.context_tokens,
                    "output_tokens": model.output_tokens,
                }
                for model in catalogue.models()
            ]
        }
    )


async def list_definitions(ask: Ask) -> Reply:
    """What is built in, whoever may be asked."""
    channel = ask.path["channel"]
    models = {
        model.id: model
        for provider in (*PROVIDERS, *LOGIN_PROVIDERS.values())
        if channel in {provider.name, provider.channel}
        for model in provider.models
    }
    if not models:
        raise invalid("unknown channel")
    return Reply(
        body={
            "channel": channel,
            "models": [
                {"id": each.id, "display_name": each.display_name or each.id, "object": "model"}
                for each in models.values()
            ],
        }
    )


_OBJECT: Schema = {"type": "object"}
_WHO = (
    Parameter(name="name", sentence="The account's file."),
    Parameter(name="auth_index", sentence="The account's auth_index, or its id."),
)

ROUTES = (
    Route(
        method="GET",
        path="/cooldowns",
        handler=list_cooldowns,
        sentence="What is held against whom, and until when.",
        reply=_OBJECT,
    ),
    Route(
        method="DELETE",
        path="/cooldowns",
        handler=clear_cooldowns,
        sentence="It is over: of one account, of one of its models, or of all.",
        parameters=(*_WHO, Parameter(name="model", sentence="Only this upstream model.")),
        statuses=(404,),
    ),
    Route(
        method="POST",
        path="/reset-quota",
        handler=reset_quota,
        sentence="Whatever is held against an account, and what is known of its windows, is forgotten.",
        body={"type": "object", "properties": {"auth_index": {"type": "string"}}, "required": ["auth_index"]},
        statuses=(404, 413),
    ),
    Route(
        method="GET",
        path="/quota",
        handler=get_quota,
        sentence="How much of each account's usage windows is used, since when that is known, and from where.",
        reply=_OBJECT,
    ),
    Route(
        method="GET",
        path="/model-definitions/{channel}",
        handler=list_definitions,
        sentence="The built-in models of a kind of account.",
        reply=_OBJECT,
        statuses=(404,),
    ),
    Route(method="GET", path="/models", handler=list_models, sentence="What clients can ask for.", reply=_OBJECT),
)
