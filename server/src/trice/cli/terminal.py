"""What commands print: tables for people, JSON for programs. No I/O besides standard output.

Data goes to standard output, everything else to standard error. What comes from a server may hold
any character; those that a terminal would obey are shown as escapes, `\\x1b`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

CELL_CHARS_MAX: Final = 80
"""Columns of the terminal that one cell of a table takes; the rest of a text is cut off."""

_OBEYED: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters, what reverses the direction of text, line separators, characters that cannot
be seen, and halves of characters, which cannot be written."""


def printable(value: Any) -> str:
    """A value as one line of text that a terminal only shows; JSON if it is not a text."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _OBEYED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(found[0], f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def print_json(value: Any) -> None:
    """Print data as JSON, the same value whatever its characters are."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except RecursionError:  # without indents it may be nested deeper
        text = json.dumps(value, ensure_ascii=False)
    # Outside of texts JSON has none of these characters but line ends.
    safe = _OBEYED.sub(lambda found: found[0] if found[0] == "\n" else _json_escape(found[0]), text)
    say(safe)


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, none: str = "None."
) -> None:
    """Print rows as a table for people.

    columns   titles by key; a key that a row lacks is shown as `-`
    none      what to say, on standard error, if there are no rows
    """
    if not rows:
        note(none)
        return
    table = [[_cut(printable(row.get(key))) for key in columns] for row in rows]
    titles = list(columns.values())
    widths = [max(map(_width, cells)) for cells in zip(titles, *table, strict=True)]
    say(_bold(_line(titles, widths)))
    for cells in table:
        say(_line(cells, widths))


def print_record(fields: Iterable[tuple[str, Any]]) -> None:
    """Print one thing: a line for each field."""
    lines = [(name, printable(value)) for name, value in fields]
    widest = max((_width(name) for name, _ in lines), default=0)
    for name, value in lines:
        say(f"{_pad(name, widest)}  {value}".rstrip())


def aligned(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of two columns."""
    widest = max((_width(first) for first, _ in pairs), default=0)
    return [f"{_pad(first, widest)}  {second}".rstrip() for first, second in pairs]


def printable_lines(text: str) -> str:
    """A text of several lines that a terminal only shows."""
    return "\n".join(map(printable, text.split("\n")))


def print_counts(counts: Mapping[str, int]) -> None:
    """Print names and how many there are of each."""
    shown = {printable(name): count for name, count in counts.items()}
    width = max(map(_width, shown), default=0)
    for name, count in shown.items():
        say(f"  {_pad(name, width)}  {count:>12,}")


def counted(count: int, noun: str) -> str:
    """A number with its noun, which has an s unless there is one: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say(text: str) -> None:
    """Print a line of data."""
    click.echo(text, color=_color())


def note(text: str) -> None:
    """Tell a person something that is no data."""
    click.echo(text, err=True, color=_color())


def confirm(question: str, *, is_agreed: bool) -> None:
    """Ask before something is lost; anything but yes ends the command with exit code 1.

    is_agreed   `--yes` was given: nothing is asked
    """
    if is_agreed:
        return
    try:
        if click.confirm(question, err=True):
            return
        problem = "Nothing was done."
    except click.Abort:
        note("")  # ends the line of the question
        problem = "Nothing was done: nobody answered. With --yes nothing is asked."
    raise click.ClickException(problem)


def _color() -> bool | None:
    """None: colours if it is a terminal. https://no-color.org asks for none where this is set."""
    return False if os.environ.get("NO_COLOR") else None


def _bold(line: str) -> str:
    return click.style(line, bold=True)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_pad(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _cut(text: str) -> str:
    if len(text) <= CELL_CHARS_MAX and _width(text) <= CELL_CHARS_MAX:
        return text
    kept, width = [], 0
    for char in text[:CELL_CHARS_MAX]:
        width += _width(char)
        if width >= CELL_CHARS_MAX:
            break
        kept.append(char)
    return "".join(kept) + "…"


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(char) or char == "\u200d"
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def is_terminal() -> bool:
    """Whether a person reads what goes to standard error."""
    return sys.stderr.isatty()
