"""Which texts may be passwords. No I/O.

Length counts most, and no kinds of characters are required (NIST SP 800-63B §5.1.1). There is no
list of common passwords: a password is refused by a rule, which the message can state.

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
    """The bytes to hash: the same text typed on two keyboards is one password (NFKC, UTF-8).

    cost  linear; callers bound the text by `is_too_long` first
    """
    return unicodedata.normalize("NFKC", password).encode()


def is_too_long(password: str) -> bool:
    """Whether the text is too long for a password, in any normal form."""
    return len(password) > auth_limits.PASSWORD_BYTES_MAX


def check_new_password(password: str, *, email: str | None, path: str) -> bytes:
    """Check a new password, and normalise it.

    email    the account's e-mail address: a password must not be made of it
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
    """The password without the words of the e-mail address."""
    for part in sorted((email, *email.split("@"), email.split("@")[0]), key=len, reverse=True):
        if len(part) >= 4:
            text = text.replace(part, "")
    return text


def _surprises(text: str) -> int:
    """The number of characters that do not follow from the one before."""
    return sum(not _follows(before, char) for before, char in pairwise(" " + text))


def _follows(before: str, char: str) -> bool:
    return abs(ord(char) - ord(before)) <= 1 or (before, char) in _NEIGHBOURS


def _weak(reason: str, path: str) -> InvalidInput:
    message = (
        f"The password {reason}. Accepted are {auth_limits.PASSWORD_BYTES_MIN} to"
        f" {auth_limits.PASSWORD_BYTES_MAX} bytes with {auth_limits.PASSWORD_SURPRISES_MIN} or more"
        " different characters; several words are a good password."
    )
    # Without the input: a password does not belong in an error, which may be logged.
    return invalid("password", None, [{"message": message, "in": ["body", path]}])
