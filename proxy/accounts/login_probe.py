"""Does a login work? Its own CLI is asked about the account, and no model is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from auth.cli.install import CliMissing, find
from auth.homes import Homes
from auth.logins.table import LOGIN_KINDS
from auth.refresh import Kept
from auth.refusal import Refused
from auth.survey import Survey
from auth.surveyor import is_surveyed, surveyed
from auth.tokens import read_token
from proxy.accounts.egress import with_egress
from proxy.accounts.known import share_of
from proxy.config.account_files import CliLogin


async def probe_login(
    folder: Path, kind: str, login: CliLogin, *, proxy_url: str, ours: Mapping[str, str]
) -> tuple[bool, str]:
    """Whether it works, and a sentence that says so or why not. `folder`: the auth-dir. `proxy_url`: the general egress
    proxy.
    """
    cli = LOGIN_KINDS[kind].cli
    environment = with_egress(ours, login.proxy_url or proxy_url)
    try:
        token = read_token(kind, Homes(folder).path_of(login.home))
        if not is_surveyed(kind):
            is_over = token.expires_at is not None and token.expires_at < time.time()
            return not is_over, "has a token that has expired" if is_over else "has a token; more its CLI does not tell"
        command = find(cli, folder, environment).command
    except (Refused, CliMissing) as error:
        return False, f"cannot be tested: {error}"
    kept = Kept(
        id=login.account,
        kind=kind,
        home=login.home,
        command=command,
        variables=cli.variables(folder / "homes" / login.home),
        environment=environment,
    )
    survey, why = await surveyed(folder, kept)
    return (False, f"does not work: {why}") if survey is None else (True, f"works: {told(survey)}")


def told(survey: Survey) -> str:
    who = " · ".join(filter(None, (survey.email, survey.plan, survey.organization))) or "the CLI is logged in"
    now = time.time()
    windows = survey.windows(0.0, now)
    return ", ".join([who, *(str(share_of(each, now)) for each in windows)])
