"""Secrets of an app: names and values that are accepted, and what a change makes of them. No I/O.

source   spec/functions.md FN284-FN287
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from trice import function_limits as limits
from trice.calls.deployment_rows import Secret
from trice.errors import InvalidInput, LimitExceeded, invalid

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MASK: Final = "***"
_ACCEPTED: Final = "letters, digits and _, as STRIPE_KEY"


def changed_secrets(
    before: Mapping[str, Secret],
    put: Any,
    removed: Any,
    *,
    required: Sequence[str],
    seal: Callable[[str, str], str],
    now_ms: int,
) -> dict[str, Secret]:
    """The secrets after a change.

    put       {name: text}, decoded JSON of any shape
    removed   [name], likewise
    required  those that the code in force needs
    seal      makes what is kept of a name and its text
    raises    InvalidInput("validation-failed", "env"), LimitExceeded
    """
    put, removed = {} if put is None else put, [] if removed is None else removed
    if not isinstance(put, dict) or not isinstance(removed, list):
        raise _refused('Accepted is {"set": {NAME: text}, "remove": [NAME]}.', "set")
    after = dict(before)
    for name in removed:
        if not isinstance(name, str) or name not in after:
            raise _refused(f"There is no secret {str(name)[:80]!r}.", "remove")
        if name in required:
            told = f"The code in force needs {name}. Deploy code without it first."
            raise _refused(told, "remove")
        del after[name]
    for name, text in put.items():
        size_bytes = _checked(name, text)
        after[name] = Secret(seal(name, text), size_bytes, now_ms)
    if len(after) > limits.SECRETS_MAX:
        raise _too_many(f"An app has at most {limits.SECRETS_MAX} secrets.")
    if sum(secret.size_bytes for secret in after.values()) > limits.SECRETS_BYTES_MAX:
        most = limits.SECRETS_BYTES_MAX >> 10
        raise _too_many(f"The secrets of an app have at most {most} KiB together.")
    return after


def masked(text: str, secrets: Collection[str]) -> str:
    """A text without secrets: those of MASKED_CHARS_MIN characters and more, each line of them, as
    logs are cut at lines, and the beginning of one at the end of the text, which may be cut."""
    pieces = [line for secret in secrets for line in (secret, *secret.splitlines())]
    if len(pieces) > limits.MASKED_PIECES_MAX:
        pieces = list(secrets)
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= limits.MASKED_CHARS_MIN:
            text = _without_start(text.replace(piece, _MASK), piece)
    return text


def _without_start(text: str, secret: str) -> str:
    """Without the beginning of a secret that the text ends with."""
    start = secret[: limits.MASKED_CHARS_MIN]
    at = text.find(start, max(len(text) - len(secret), 0))
    while at >= 0:
        if secret.startswith(text[at:]):
            return text[:at] + _MASK
        at = text.find(start, at + 1)
    return text


def _checked(name: str, text: Any) -> int:
    """How many bytes a secret has."""
    if not _NAME.fullmatch(name) or len(name) > limits.SECRET_NAME_CHARS_MAX:
        told = f"{name[:80]!r} is no name of a secret. Accepted are {_ACCEPTED}."
        raise _refused(told, "set")
    if not isinstance(text, str) or not text or "\0" in text:
        raise _refused(f"{name} must be a text that is not empty.", "set")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise _refused(f"{name} has half of a character.", "set") from None
    if size_bytes > limits.SECRET_BYTES_MAX:
        most = limits.SECRET_BYTES_MAX >> 10
        raise _refused(f"{name} has {size_bytes:,} bytes. Accepted are {most} KiB.", "set")
    return size_bytes


def _refused(problem: str, key: str) -> InvalidInput:
    # The input is not repeated: it may hold secrets.
    return invalid("env", None, [{"message": problem, "in": [key]}])


def _too_many(problem: str) -> LimitExceeded:
    return LimitExceeded("parameter-limit-exceeded", problem)
