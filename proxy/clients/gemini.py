"""Gemini CLI, by the route of its Google login: any model goes that way, and a conversation bears a name."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.clients.base import KEYLESS, Access, Client, Edit, Launch, home
from proxy.providers import gemini

_NOTE = (
    "Gemini CLI tells its Google token to www.googleapis.com at each start. That token is the word "
    f"{KEYLESS!r} here: your key goes in a header of its own, to this server only."
)


def _environment(access: Access) -> dict[str, str]:
    told = {
        "CODE_ASSIST_ENDPOINT": access.url,
        "GOOGLE_GENAI_USE_GCA": "true",
        "GOOGLE_CLOUD_ACCESS_TOKEN": KEYLESS,
        "GEMINI_CLI_CUSTOM_HEADERS": f"x-goog-api-key: {access.key.reveal()}",
    }
    return told if access.model is None else {**told, "GEMINI_MODEL": access.model.id}


def _launch(access: Access) -> Launch:
    """The settings of the user beat the variables of the first kind; the others serve who chose an API key there."""
    key = access.key.reveal()
    others = {"GEMINI_API_KEY": key, "GOOGLE_GEMINI_BASE_URL": access.url}
    removed = ("GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_PROJECT_ID")
    notes = (_NOTE,) if key != KEYLESS else ()
    return Launch(environment={**_environment(access), **others}, removed=removed, notes=notes)


def _edits(access: Access, environment: Mapping[str, str]) -> tuple[Edit, ...]:
    folder = home(environment, "GEMINI_CLI_HOME") / ".gemini"
    return (
        Edit(
            path=folder / "settings.json",
            format="json",
            values={("security", "auth", "selectedType"): "oauth-personal"},
        ),
        Edit(
            path=folder / ".env",
            format="dotenv",
            values={(name,): value for name, value in _environment(access).items()},
        ),
    )


CLIENT = Client(
    name="gemini",
    title="Gemini CLI",
    program="gemini",
    package="@google/gemini-cli",
    families=gemini.PROVIDER.families,
    launch=_launch,
    edits=_edits,
    probe=("--skip-trust", "-p", "Say the word ready."),
    notes=(_NOTE, "A project with a .env file of its own hides this one: there, use `proxy run gemini`."),
)
