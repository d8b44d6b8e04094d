"""An index of an attr, and how its CREATE statement is written. No I/O."""

from __future__ import annotations

from typing import NamedTuple


def quoted(identifier: str) -> str:
    """A table, column or index name as SQL."""
    return '"' + identifier.replace('"', '""') + '"'


class Index(NamedTuple):
    """An index that an attr has.

    columns     in their order; SQLite adds the key of the table
    condition   of a partial index, as SQL; "" for one that has all rows
    """

    name: str
    table: str
    columns: tuple[str, ...]
    is_unique: bool = False
    condition: str = ""

    def sql(self, name: str = "", table: str = "", *, is_plain: bool = False) -> str:
        """Its CREATE statement, or that of one like it under another name.

        is_plain   without a condition, and not unique
        """
        unique = "UNIQUE " if self.is_unique and not is_plain else ""
        where = f" WHERE {self.condition}" if self.condition and not is_plain else ""
        columns = ", ".join(map(quoted, self.columns))
        return (
            f"CREATE {unique}INDEX {quoted(name or self.name)} ON"
            f" {quoted(table or self.table)} ({columns}){where}"
        )
