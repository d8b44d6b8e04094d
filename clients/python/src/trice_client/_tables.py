"""Answers as tables for people, as `trice query` prints them; JSON for programs. No I/O.

What comes from a server may hold any character; those that a terminal would obey are shown as
escapes, `\\x1b`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trice_client._json import is_list, is_object

_CELL_CHARS_MAX: Final = 80
"""Columns of the terminal that one cell takes; the rest of a text is cut off."""
_COLUMNS_MAX: Final = 12
"""Columns of a table; the rest is named below it."""
_OBEYED: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters, what reverses the direction of text, line separators, characters that cannot
be seen, and halves of characters, which cannot be written."""


def tables(answer: Mapping[str, Any], rows: int, *, is_bold: bool = False) -> tuple[str, str]:
    """The answer to a query as tables, and what is to be said besides.

    rows      how many of each form are shown
    is_bold   titles are bold, for a terminal
    """
    said: list[str] = []
    noted: list[str] = []
    for name, found in answer.items():
        if len(answer) > 1:
            said.append(_bold(printable(name), is_bold))
        if is_list(found) and all(is_object(each) for each in found):
            _add(found, rows, is_bold, said, noted)
        else:
            said.append(printable(found))
    return _lines(said), _lines(noted)


def value_text(value: Any, rows: int, *, is_bold: bool = False) -> tuple[str, str]:
    """What a function returned, or any other value: a table of a list of objects, a line for each
    field of an object."""
    if is_list(value) and value and all(is_object(each) for each in value):
        return tables({"": value}, rows, is_bold=is_bold)
    if not is_object(value):
        return printable(value) + "\n", ""
    widest = max((_width(printable(name)) for name in value), default=0)
    fields = (
        f"{_pad(printable(name), widest)}  {printable(each)}".rstrip()
        for name, each in value.items()
    )
    return _lines([*fields]), ""


def json_text(value: Any) -> str:
    """JSON that a terminal only shows: the same value whatever its characters are."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Outside of texts JSON has none of these characters but line ends.
    return _OBEYED.sub(lambda found: found[0] if found[0] == "\n" else _json_escape(found[0]), text)


def printable(value: Any) -> str:
    """A value as one line of text that a terminal only shows; JSON if it is not a text."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _OBEYED.sub(lambda found: _escape(found[0]), text)


def _add(
    found: Sequence[Mapping[str, Any]], rows: int, is_bold: bool, said: list[str], noted: list[str]
) -> None:
    shown = found[:rows]
    if not shown:
        noted.append("Nothing is found.")
        return
    names = sorted({key for each in shown for key in each} - {"id"})
    columns = ["id", *names][:_COLUMNS_MAX]
    table = [[_cut(printable(row.get(key))) for key in columns] for row in shown]
    titles = [printable(name) for name in columns]
    widths = [max(map(_width, cells)) for cells in zip(titles, *table, strict=True)]
    said.append(_bold(_line(titles, widths), is_bold))
    said += [_line(cells, widths) for cells in table]
    if len(names) >= _COLUMNS_MAX:
        left = ", ".join(map(printable, names[_COLUMNS_MAX - 1 :][:_COLUMNS_MAX]))
        count = len(names) + 1 - _COLUMNS_MAX
        noted.append(f"There are {count} more columns: {left}. --json has all.")
    if len(found) > rows:
        more = f"There are {len(found) - rows:,} more rows."
        noted.append(f"{more} --rows shows more, --json has all.")


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _bold(line: str, is_bold: bool) -> str:
    return f"\x1b[1m{line}\x1b[0m" if is_bold else line


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_pad(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _cut(text: str) -> str:
    if len(text) <= _CELL_CHARS_MAX and _width(text) <= _CELL_CHARS_MAX:
        return text
    kept, width = list[str](), 0
    for char in text[:_CELL_CHARS_MAX]:
        width += _width(char)
        if width >= _CELL_CHARS_MAX:
            break
        kept.append(char)
    return "".join(kept) + "…"


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.combining(char) or char == "\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"
