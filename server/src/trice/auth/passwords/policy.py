"""Which texts may be passwords. No I/O.

Length counts most and nothing is prescribed about kinds of characters (NIST SP 800-63B §5.1.1). No
list of common passwords is kept: what is refused is what follows from a rule, so that the message
can say it.

source   spec/auth.md A159-A161
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import Final

from trice import auth_limits
from trice.errors import InvalidInput, invalid

_KEYBOARD_ROWS: Final = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "azerty", "qwertz")

_NEIGHBOURS: Final = frozenset(
    pair for row in _KEYBOARD_ROWS for line in (row, row[::-1]) for pair in pairwise(line)
)


def normalise(password: str) -> bytes:
    """What is hashed: one text typed on two keyboards is one password (NFKC, UTF-8).

    cost  linear; callers bound the text by `is_too_long` first
    """
    return unicodedata.normalize("NFKC", password).encode()


def is_too_long(password: str) -> bool:
    """Whether the text is longer than any password can be, whatever it normalises to."""
    return len(password) > auth_limits.PASSWORD_BYTES_MAX


def check_new_password(password: str, *, email: str | None, path: str) -> bytes:
    """Normalise a password that somebody chose.

    email    the account's address: a password must not be made of it
    path     name of the parameter, for the error
    raises   InvalidInput("validation-failed") that says what to do better
    """
    if is_too_long(password):
        raise _weak(f"is longer than {auth_limits.PASSWORD_BYTES_MAX} bytes", path)
    raw = normalise(password)
    if len(raw) > auth_limits.PASSWORD_BYTES_MAX:
        raise _weak(f"is longer than {auth_limits.PASSWORD_BYTES_MAX} bytes", path)
    if len(raw) < auth_limits.PASSWORD_BYTES_MIN:
        raise _weak(f"is shorter than {auth_limits.PASSWORD_BYTES_MIN} bytes", path)
    text = raw.decode().casefold()
    if email is not None:
        text = _without_email(text, email.casefold())
    if min(len(set(text)), _surprises(text)) < auth_limits.PASSWORD_SURPRISES_MIN:
        reason = "is easy to guess: it repeats itself, follows the keyboard, or is the e-mail"
        raise _weak(reason, path)
    return raw


def _without_email(text: str, email: str) -> str:
    """What a password adds to the words of the address."""
    for part in sorted((email, *email.split("@"), email.split("@")[0]), key=len, reverse=True):
        if len(part) >= 4:
            text = text.replace(part, "")
    return text


def _surprises(text: str) -> int:
    """Characters that cannot be foretold from the one before."""
    return sum(not _follows(before, char) for before, char in pairwise(" " + text))


def _follows(before: str, char: str) -> bool:
    return abs(ord(char) - ord(before)) <= 1 or (before, char) in _NEIGHBOURS


def _weak(reason: str, path: str) -> InvalidInput:
    message = (
        f"The password {reason}. Accepted are {auth_limits.PASSWORD_BYTES_MIN} to"
        f" {auth_limits.PASSWORD_BYTES_MAX} bytes with {auth_limits.PASSWORD_SURPRISES_MIN} or more"
        " different characters; several words are a good password."
    )
    # Without the input: a password does not belong in an error that somebody may log.
    return invalid("password", None, [{"message": message, "in": ["body", path]}])
