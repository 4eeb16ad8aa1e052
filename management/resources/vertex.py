"""The key file of a service account of Google Cloud, taken as an account."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import cast

from auth.document import Document
from auth.refusal import Refused
from management.refusal import Refusal, invalid
from management.resources.uploads import form_of
from management.routes import FORM, Ask, Reply, Route, decoded
from proxy.config.account_files import SERVICE_ACCOUNT
from proxy.config.settings import JsonValue

LOCATION = "us-central1"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")


async def import_vertex(ask: Ask) -> Reply:
    """One form: `file`, and maybe `location` and `prefix`."""
    if not ask.request.headers.get("content-type", "").lower().startswith(FORM):
        raise invalid("send a form (multipart/form-data) with the key file as `file`")
    files, fields = await form_of(ask)
    if len(files) != 1:
        raise invalid("send one file")
    account = decoded(files[0].raw)
    if not isinstance(account, dict) or account.get("type") != "service_account":
        raise Refusal(400, "this is no key file of a service account", code="invalid_file")
    project, email = str(account.get("project_id") or ""), str(account.get("client_email") or "")
    location, prefix = fields.get("location") or LOCATION, fields.get("prefix", "")
    document: dict[str, object] = {
        "type": SERVICE_ACCOUNT,
        "service-account": account,
        "project-id": project,
        "email": email,
        "location": location,
    }
    if prefix:
        document["prefix"] = prefix
    name = "-".join(
        part
        for each in ("vertex", prefix, project or email)
        if (part := _NOT_IN_NAMES.sub("-", each.lower()).strip("-."))
    )
    state = ask.state
    try:
        entry = await asyncio.to_thread(
            state.store.put, f"{name}.json", Document.of(cast("Mapping[str, JsonValue]", document))
        )
    except Refused as error:
        raise invalid(str(error)) from None
    await state.look()
    ask.changes["auth-files"] = {"imported": entry.name}
    return Reply(
        body={
            "status": "ok",
            "auth-file": entry.name,
            "project_id": project,
            "email": email,
            "location": location,
        }
    )


ROUTES = (
    Route(
        method="POST",
        path="/vertex/import",
        handler=import_vertex,
        sentence="Takes the key file of a service account (Vertex AI) as an account.",
        body={
            "type": "object",
            "properties": {
                "file": {"type": "string", "contentMediaType": "application/json"},
                "location": {"type": "string"},
                "prefix": {"type": "string"},
            },
            "required": ["file"],
        },
        body_types=(FORM,),
        reply={"type": "object"},
        statuses=(413,),
    ),
)
