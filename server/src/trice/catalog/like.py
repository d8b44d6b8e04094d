"""What `$like` and `$ilike` mean: texts matched against `%`/`_` patterns. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_PATTERNS_KEPT: Final = 256
_FOLDED_A_STEP: Final = 200
"""Characters of ASCII that are folded in a step."""

_COMPARED_A_STEP: Final = 200
"""Characters of a text times those of a pattern that are compared in a step."""

_COMPILED_STEPS: Final = 3
"""Steps that a character of a pattern costs to compile: a query may have more patterns than the
cache keeps."""


def is_like(pattern: str, text: str, *, is_case_sensitive: bool) -> bool:
    """Whether the whole text matches. A backslash makes the next character literal.

    cost   O(pattern · text) at worst. `%` takes the leftmost match of the piece after it. That is
           always enough, so no other match is tried
    """
    if is_case_sensitive:
        return _matches(_runs(pattern, is_folded=False), text)
    return _matches(_runs(pattern, is_folded=True), fold(text))


def like_steps(pattern: str, text: str) -> int:
    """The largest cost of a match in any case, in steps of evaluation (0.15 µs).

    Characters beyond ASCII are folded one at a time in Python. A piece between two `%` is searched
    by a regular expression, at each place of the text. Only indexed texts can be matched, and these
    are short: no single match takes long.
    """
    chars = len(text)
    folding = chars // _FOLDED_A_STEP if text.isascii() else chars
    return folding + chars * len(pattern) // _COMPARED_A_STEP + len(pattern) * _COMPILED_STEPS


def fold(text: str) -> str:
    """Upper case as JavaScript's `i` flag compares: one character at a time; ß and K stay."""
    if text.isascii():
        return text.upper()
    return "".join(map(_fold_char, text))


@lru_cache(maxsize=4096)
def _fold_char(char: str) -> str:
    upper = char.upper()
    if len(upper) != 1 or (ord(char) >= 128 > ord(upper)):
        return char
    return upper


@lru_cache(maxsize=_PATTERNS_KEPT)
def _runs(pattern: str, *, is_folded: bool) -> tuple[re.Pattern[str], ...]:
    """The pattern split at its `%`s; each piece is an expression for text of one fixed length."""
    pieces: list[list[str]] = [[]]
    is_escaped = False
    for char in pattern:
        if not is_escaped and char == "\\":
            is_escaped = True
            continue
        if not is_escaped and char == "%":
            pieces.append([])
        elif not is_escaped and char == "_":
            pieces[-1].append(".")
        else:
            pieces[-1].append(re.escape(fold(char) if is_folded else char))
        is_escaped = False
    if is_escaped:
        pieces[-1].append(re.escape("\\"))
    return tuple(re.compile("".join(piece), re.DOTALL) for piece in pieces)


def _matches(runs: tuple[re.Pattern[str], ...], text: str) -> bool:
    if len(runs) == 1:
        return runs[0].fullmatch(text) is not None
    first = runs[0].match(text)
    if first is None:
        return False
    position = first.end()
    for run in runs[1:-1]:
        found = run.search(text, position)
        if found is None:
            return False
        position = found.end()
    return _ends_with(runs[-1], text, position)


def _ends_with(run: re.Pattern[str], text: str, position: int) -> bool:
    """Whether the last piece matches the end of the text, at `position` or later."""
    start = len(text) - _length(run)
    return start >= position and run.fullmatch(text, start) is not None


@lru_cache(maxsize=_PATTERNS_KEPT)
def _length(run: re.Pattern[str]) -> int:
    """How many characters a piece matches: every escape in its expression stands for one."""
    return len(re.sub(r"\\.", ".", run.pattern, flags=re.DOTALL))
