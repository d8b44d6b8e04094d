"""Messages up, from bytes, and what is said of those that are none. No I/O."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trice.protocol.up import Up


def _read_float(text: str) -> float:
    """A number with a fraction or exponent. msgspec's own reading takes 8 µs for 1.2e300, of which
    64 KiB hold 8,000; this takes 0.2 µs for any.

    raises   ValueError when no double is as large
    """
    value = float(text)
    if value - value != 0.0:
        raise ValueError(f"The number {text[:40]} is larger than a double can hold")
    return value


decoder: Final = msgspec.json.Decoder(Up, float_hook=_read_float)

_MISFIT: Final = re.compile(
    r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `\$\.?(?P<path>[^`]*)`)?"
)
_JSON_WORDS: Final = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
"""What the decoder calls a type, and what its sender does."""


def explain_misfit(cause: Exception) -> tuple[list[str], str]:
    """Where in a message a field has the wrong form, and what is accepted there.

    cause    what `decoder` raised for a message that is JSON with a known op
    returns  the path, empty for the message itself, and a sentence or the end of one
    """
    found = _MISFIT.search(str(cause))
    if found is None:
        return [], "It is not a message of this protocol."
    wanted, given = (
        " or ".join(_JSON_WORDS.get(name, name) for name in found[part].split(" | "))
        for part in ("wanted", "given")
    )
    path = [name for name in (found["path"] or "").split(".") if name]
    return path, f"It must be {wanted}, not {given}."
