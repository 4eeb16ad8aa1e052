"""Why a file of the auth-dir is not used, or was not changed."""

from __future__ import annotations


class Refused(Exception):
    """The message never holds a secret. From what reads one file it is the end of a sentence that begins with the
    file's name; from the store it is the whole sentence.
    """


class Changed(Refused):
    """Somebody else was faster; nothing was written."""


class Missing(Refused):
    """There is no such file."""


class LoginNeeded(Refused):
    """There is no login any more: a human must log in again."""
