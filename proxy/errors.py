"""The error tree: whose fault it is, and whether trying again is safe.

::

    ProxyError
    ├── ConfigError              the operator's: config.yaml or a flag is wrong
    │   └── ConfigChanged        412  somebody else has written it meanwhile: read it again, then edit
    ├── RequestError             the client's: trying the same again is useless
    │   ├── Malformed            400  not what the wire's grammar allows; `path` names the fault
    │   ├── AccessDenied         401  who asks
    │   │   ├── Forbidden        403  from where: a web page, another machine
    │   │   └── Misdirected      421  the Host is none of ours
    │   ├── UnknownRoute         404/405
    │   ├── UnknownModel         404  no credential serves a model of that name
    │   ├── TooLarge             413
    │   ├── UnsupportedEncoding  415
    │   ├── TooSlow              408  the body did not arrive in time
    │   └── Untranslatable       400  valid, but the chosen upstream's wire cannot say it
    ├── UpstreamError            the provider's: another candidate may do better
    │   ├── Unreachable          502  nothing was sent: always safe to repeat
    │   ├── Rejected             an error status, or an error inside a 200
    │   ├── Silent               504  sent, and no answer in time
    │   └── Broken               502  the answer was cut or is not what its wire allows
    ├── CredentialError          the account's: a human or a refresh is needed
    │   ├── LoginRequired
    │   └── RefreshFailed
    ├── NoCandidate              429/503  nobody is left; carries when the first one returns
    └── ShuttingDown             503

Every error is rendered by the client's wire. `except Exception` stands in exactly two places:
`proxy.server.handle` (a request) and `proxy.__main__` (the process).
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "invalid_request",  # the request itself; never repeated
    "authentication",
    "permission",
    "not_found",
    "too_large",
    "context_length",  # the prompt is longer than the model takes; clients compact on it
    "rate_limit",  # a burst: seconds
    "quota",  # an exhausted window or balance: hours, or until somebody pays
    "overloaded",  # the provider, not the account
    "timeout",
    "unavailable",
    "server",
    "stream_corrupt",
]
"""What went wrong, in one vocabulary that every wire maps to its own words."""


class ProxyError(Exception):
    """Anything that is told to a client or an operator.

    `message` is a sentence that says what is wrong and what to do; it never holds a secret.
    `path` is the JSON path to the fault (``messages[2].content``), `code` the machine's word for it.
    `retry_after_seconds` is true when given, never a guess.
    """

    kind: ClassVar[Kind] = "server"
    status: int = 500

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        path: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.path = path
        self.retry_after_seconds = retry_after_seconds
        if status is not None:
            self.status = status


class ConfigError(ProxyError):
    """`message` holds every complaint, one a line, each with file:line."""


class ConfigChanged(ConfigError):
    status = 412


class RequestError(ProxyError):
    kind: ClassVar[Kind] = "invalid_request"
    status = 400


class Malformed(RequestError):
    pass


class AccessDenied(RequestError):
    kind: ClassVar[Kind] = "authentication"
    status = 401


class Forbidden(AccessDenied):
    kind: ClassVar[Kind] = "permission"
    status = 403


class Misdirected(AccessDenied):
    kind: ClassVar[Kind] = "permission"
    status = 421


class UnknownRoute(RequestError):
    kind: ClassVar[Kind] = "not_found"
    status = 404


class UnknownModel(RequestError):
    kind: ClassVar[Kind] = "not_found"
    status = 404


class TooLarge(RequestError):
    kind: ClassVar[Kind] = "too_large"
    status = 413


class UnsupportedEncoding(RequestError):
    status = 415


class TooSlow(RequestError):
    kind: ClassVar[Kind] = "timeout"
    status = 408


class Untranslatable(RequestError):
    pass


class UpstreamError(ProxyError):
    kind: ClassVar[Kind] = "unavailable"
    status = 502
    is_sent: ClassVar[bool] = True
    """Whether the request may have reached the provider. False: repeating it is always safe."""


class Unreachable(UpstreamError):
    is_sent: ClassVar[bool] = False


class Rejected(UpstreamError):
    pass


class Silent(UpstreamError):
    kind: ClassVar[Kind] = "timeout"
    status = 504


class Broken(UpstreamError):
    kind: ClassVar[Kind] = "stream_corrupt"


class CredentialError(ProxyError):
    kind: ClassVar[Kind] = "unavailable"
    status = 503


class LoginRequired(CredentialError):
    pass


class RefreshFailed(CredentialError):
    pass


class NoCandidate(ProxyError):
    kind: ClassVar[Kind] = "unavailable"
    status = 503


class ShuttingDown(ProxyError):
    kind: ClassVar[Kind] = "unavailable"
    status = 503
