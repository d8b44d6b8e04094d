"""Rows as a table for people, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click
import orjson


def show(
    rows: list[dict[str, Any]],
    columns: tuple[str, ...],
    cell: Callable[[dict[str, Any], str], str],
    *,
    is_json: bool,
    none: str,
) -> None:
    """Print rows.

    cell   the text of a column of a row
    none   what people read when there are no rows
    """
    if is_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        click.echo(none)
        return
    table = [columns, *(tuple(map(partial(cell, row), columns)) for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))]
    for line in table:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
