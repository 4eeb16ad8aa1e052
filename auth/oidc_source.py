"""An own OIDC login as something whose token is kept fresh: by ourselves, in a child, as the CLIs' are by theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auth import refresh
from auth.homes import Homes
from auth.oidc import OidcClient
from auth.oidc_tokens import read_tokens
from auth.refresh_child import OwnClient, Task
from auth.seal import Seal
from auth.tokens import Token
from auth.told import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLogin:
    """`auth.refresh.Source`. `environment`: names the certificates to believe."""

    id: str
    home: str
    client: OidcClient
    seal: Seal
    environment: Mapping[str, str] = field(repr=False)
    kind: str = "oidc"

    def read(self, data: Path) -> Token:
        return read_tokens(Homes(data).path_of(self.home), self.seal).token

    async def renew(self, data: Path, digest: str) -> Told:
        client = OwnClient(
            issuer=self.client.issuer,
            client_id=self.client.client_id,
            secret=self.client.secret.reveal(),
            scopes=self.client.scopes,
            proxy_url=self.client.proxy_url,
            seal_key=self.seal.key.reveal() if self.seal.key is not None else "",
        )
        task = Task(
            kind=self.kind,
            data=str(data),
            home=self.home,
            command=[],
            variables={},
            environment={},
            digest=digest,
            client=client,
        )
        return await refresh.run(task, self.environment)
