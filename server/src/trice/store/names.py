"""Physical names of tables and columns: readable, and safe in any SQL tool. No I/O.

A name is chosen once, when its attr is created, and kept through renames. It never holds a dot
(a column), a tilde or a control character: those separate the parts of names the store composes
("todos.tags", "title~order", "todos~title~unique") and of SQLite's error messages.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

CHARS_MAX: Final = 48
"""PostgreSQL cuts names at 63 bytes; what follows a name when names are composed fits too."""

_BANNED: Final = frozenset("\"'`[].,~\\")


def choose_name(wanted: str, taken: Iterable[str]) -> str:
    """A physical name as near to `wanted` as possible that differs from all of `taken`.

    wanted   any text, also empty
    taken    names in use; compared without case, because SQLite's identifiers have none
    """
    clean = "".join("_" if char in _BANNED or not char.isprintable() else char for char in wanted)
    clean = clean.strip()[:CHARS_MAX] or "_"
    if clean.lower().startswith("sqlite_"):
        clean = "_" + clean
    return _numbered(clean, {name.lower() for name in taken})


def view_names(table: str) -> tuple[str, str]:
    """What the view of a table is called, and what where another table has that name.

    The second has a tilde, which no chosen name has.
    """
    return (f"{table}_view", f"{table}~view")


def _numbered(clean: str, used: Container[str]) -> str:
    candidate = clean
    number = 2
    while candidate.lower() in used:
        candidate = f"{clean}_{number}"
        number += 1
    return candidate
