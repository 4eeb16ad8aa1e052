"""``proxy accounts login``: through an OIDC client of one's own, the first time or again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import click

from auth.document import JsonValue
from auth.logins.table import LOGIN_KINDS
from auth.refusal import Refused
from proxy.accounts.desk import Desk
from proxy.accounts.login_terminal import Place, Terminal
from proxy.accounts.logins import LoginWish
from proxy.accounts.oidc_login import spec_of, wish_again, wish_for
from proxy.config.account_files import OIDC

_MEMBERS = {
    "issuer": "issuer",
    "client_id": "client-id",
    "provider": "provider",
    "base_url": "base-url",
    "wire": "wire",
    "project_id": "project-id",
    "location": "location",
    "redirect_uri": "redirect-uri",
    "prefix": "prefix",
    "label": "label",
}
"""Option → member of the file."""


def login_command() -> click.Command:
    @click.command("login")
    @click.argument("account")
    @click.option("--issuer", help="For oidc: who gives the tokens: https://accounts.google.com, your own Keycloak, …")
    @click.option("--client-id", help="Your client there.")
    @click.option("--client-secret-file", type=click.File("r"), help="Its secret, if it has one; - for stdin.")
    @click.option("--client-secret-env", metavar="NAME", help="… or from this environment variable.")
    @click.option("--scope", "scopes", multiple=True, help="Ask for this scope; several times. Default: who you are.")
    @click.option("--provider", help="Whom the token is for: gemini, vertex, openai, anthropic; or NAME, --base-url.")
    @click.option("--base-url", help="Where its API is.")
    @click.option(
        "--wire",
        type=click.Choice(["openai-chat", "openai-responses", "anthropic", "gemini"]),
        help="What an API of another name speaks. Default: openai-chat.",
    )
    @click.option("--model", "models", multiple=True, metavar="NAME", help="Offer this model; several times.")
    @click.option("--project-id", help="The Google Cloud project: for vertex, and for the quota of gemini.")
    @click.option("--location", help="For vertex: where in Google's cloud.")
    @click.option("--redirect-uri", help="Where the browser comes back to. Default: a free port, /callback.")
    @click.option("--prefix", help="Its models are also offered as PREFIX/model.")
    @click.option("--label", help="What lists call it.")
    @click.option("--device", is_flag=True, help="By device code.")
    @click.option("--no-browser", is_flag=True, help="Print the login page's address; open nothing.")
    @click.option("--account", "expected", help="The account that it must be (its e-mail address).")
    @click.pass_obj
    def log_in(desk: Desk, /, account: str, **given: object) -> None:
        """Log in through an OIDC client of your own: ACCOUNT is oidc; or a login that is there, to renew it.

        The vendors' subscriptions log in by proxy --claude-login, --codex-login, --login.
        """
        place = Place.of(os.environ)
        has_browser = place.has_browser and not given["no_browser"]
        try:
            wish = _wish(desk, account, given, is_device=bool(given["device"]), has_browser=has_browser)
        except Refused as error:
            raise click.ClickException(str(error)) from error
        terminal = Terminal(desk=desk, environment=os.environ, place=place, tell=_tell)
        click.get_current_context().exit(terminal.log_in(wish))

    return log_in


def _wish(desk: Desk, account: str, given: Mapping[str, object], *, is_device: bool, has_browser: bool) -> LoginWish:
    """Raises `Refused`."""
    expected = given["expected"]
    if account == OIDC:
        return wish_for(
            desk,
            spec_of(_fields(given)),
            is_device=is_device,
            has_browser=has_browser,
            expected=expected if isinstance(expected, str) else "",
        )
    name = desk.file_of(account)
    kind, login = desk.login_of(name)
    if kind == OIDC:
        return wish_again(desk, name, is_device=is_device, has_browser=has_browser)
    return LoginWish(
        kind=LOGIN_KINDS[kind],
        is_device=is_device,
        has_browser=has_browser,
        project=login.project_id,
        expected=login.email or login.account,
    )


def _fields(given: Mapping[str, object]) -> dict[str, JsonValue]:
    for option in ("issuer", "client_id", "provider"):
        if not given[option]:
            raise click.UsageError(f"oidc needs --{option.replace('_', '-')}")
    fields: dict[str, JsonValue] = {
        member: value for option, member in _MEMBERS.items() if isinstance(value := given[option], str) and value
    }
    if secret := _secret(given["client_secret_file"], given["client_secret_env"]):
        fields["client-secret"] = secret
    for option, member, make in _LISTS:
        values = given[option]
        if isinstance(values, Sequence) and values:
            fields[member] = [make(str(each)) for each in values]
    return fields


_LISTS: tuple[tuple[str, str, Callable[[str], JsonValue]], ...] = (
    ("scopes", "scopes", lambda scope: scope),
    ("models", "models", lambda model: {"name": model}),
)


def _secret(file: object, variable: object) -> str:
    if isinstance(variable, str):
        secret = os.environ.get(variable, "").strip()
        if not secret:
            raise click.ClickException(f"the environment variable {variable[:60]} is not set")
        return secret
    read = getattr(file, "read", None)
    return str(read()).strip() if read is not None else ""


def _tell(line: str) -> None:
    click.echo(line, err=True)
