"""Rows as a table for people, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trice.cli.terminal import print_json, print_table, say


def show(
    rows: list[dict[str, Any]],
    columns: Mapping[str, str],
    cell: Callable[[dict[str, Any], str], str],
    *,
    is_json: bool,
    none: str,
) -> None:
    """Print rows.

    columns   titles by key
    cell      the text of a column of a row
    none      what people read when there are no rows
    """
    if is_json:
        print_json(rows)
    elif not rows:
        say(none)
    else:
        shown = [{column: cell(row, column) for column in columns} for row in rows]
        print_table(shown, columns)
