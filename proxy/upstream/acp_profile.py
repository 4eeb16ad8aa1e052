"""What sets one CLI that speaks the Agent Client Protocol apart from the others, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from auth.cli.install import Cli
from proxy.hub.residue import JsonObject
from proxy.upstream.acp_exchange import Listener
from proxy.upstream.acp_script import Turn
from proxy.upstream.base import Call
from proxy.upstream.cli_choice import Seats

SEATS = Seats(at_once=32, conversations_max=150)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a CLI's own request says of itself: its conversation, its model, its instructions, and the names of the
    tools that it offers.
    """

    conversation: str
    model: str
    instructions: str
    tools: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of one process. `relay`: the address that it has for its provider; `key`: what it takes for a token.
    `instructions`: the file that holds what all its conversations are instructed with. `talks`: where they have their
    folders.
    """

    relay: str
    key: str
    instructions: str
    talks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcpProfile:
    name: str
    """Also of the executor."""
    cli: Cli
    version_min: tuple[int, int, int]
    """The first that is known to have every switch that is used here, and to heed it."""
    seats: Seats = SEATS
    """Each conversation leaves something behind in its process, ended or not; a megabyte, as a rule."""
    shares_folders: bool = False
    """Conversations that are begun alike and have no tools stand in one folder: each new one costs it much."""
    arguments: tuple[str, ...]
    listens: tuple[int, ...] = ()
    """Ports that it cannot do without, for itself; 0: any that the system gives."""
    variables: Callable[[Place], Mapping[str, str]]
    files: Mapping[str, JsonObject]
    """JSON below its ``HOME``."""
    settings: str
    """The file that holds `Turn.settings`, as a path from a conversation's folder. Where it lies outside, each
    conversation reads it as it begins.
    """
    empty_files: tuple[str, ...] = ()
    """In a conversation's folder, each in the place of one that says something."""
    rereading: tuple[str, ...] = ()
    """Modes that a conversation is set to, one after the other, so that it reads its instructions again. None: it reads
    them as it begins, and never again.
    """
    server: str
    """What the server of the caller's tools is called."""
    prefix: str
    """Of their names, as the model knows them."""
    turn_path: str
    """How the path ends at which it asks for an answer; what stands there about the relay's own address before it does
    not matter.
    """
    about: Mapping[str, Callable[[str], JsonObject]]
    """What else it asks of its provider, by the end of the path: answered here, for an account's project."""
    account_headers: frozenset[str]
    """Lower-case: those that name the account. They are the call's, all others the CLI's own."""
    address: Callable[[Call], str]
    """Where its provider takes such a request."""
    refusal: Callable[[int, str], bytes]
    """The body of an error of ours."""
    final_status: int = 400
    """After which it does not try again, whatever it asked."""
    read: Callable[[Call], Turn]
    """Raises `ValueError`."""
    resumed: Callable[[bytes, Sequence[JsonObject]], bytes]
    """A call's body with what was said before in front, unless it tells a history of its own. Raises `ValueError`."""
    said: Callable[[bytes, Sequence[JsonObject]], Sequence[JsonObject]]
    """What a call's body tells and the model answered, to be resumed."""
    asked: Callable[[bytes, Mapping[str, str]], Asked]
    """Of a request's body and headers. Raises `ValueError`."""
    listener: Callable[[Turn], Listener]
    spelled: Mapping[str, str]
    """Names of models that it changes for its provider, and how."""
    digest: Callable[[list[JsonObject]], bytes]
    """Of what the model said."""
