"""Physical names of tables and columns: readable, and safe in any SQL tool. No I/O.

A name is chosen once, when its attr is created, and kept through renames. It never holds a dot, a
tilde or a control character: these separate the parts of names that the store composes
("todos.tags", "title~order", "todos~title~unique") and of SQLite's error messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CHARS_MAX: Final = 48
"""PostgreSQL cuts names at 63 bytes; this leaves room for the parts that composed names add."""

_BANNED: Final = frozenset("\"'`[].,~\\")


def choose_name(wanted: str, taken: Iterable[str]) -> str:
    """A physical name as near to `wanted` as possible that differs from all of `taken`.

    wanted   any text, also empty
    taken    names in use; compared without case, because SQLite's identifiers have none
    """
    return choose_names((wanted,), taken)[0]


def choose_names(wanted: Iterable[str], taken: Iterable[str]) -> list[str]:
    """A name for each of `wanted`, as `choose_name` and different from those before it.

    cost   O(wanted + taken), however alike they are
    """
    used = {name.lower() for name in taken}
    numbers: dict[str, int] = {}
    chosen = []
    for text in wanted:
        clean = _clean(text)
        name = clean
        while name.lower() in used:
            numbers[clean] = numbers.get(clean, 1) + 1
            name = f"{clean}_{numbers[clean]}"
        used.add(name.lower())
        chosen.append(name)
    return chosen


def _clean(wanted: str) -> str:
    clean = "".join("_" if char in _BANNED or not char.isprintable() else char for char in wanted)
    clean = clean.strip()[:CHARS_MAX] or "_"
    return "_" + clean if clean.lower().startswith("sqlite_") else clean


def view_names(table: str) -> tuple[str, str]:
    """The name of a table's view, and its name where a table already has the first one.

    The second has a tilde, which no chosen name has.
    """
    return (f"{table}_view", f"{table}~view")
