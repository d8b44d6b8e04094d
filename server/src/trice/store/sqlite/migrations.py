"""A file of an older format is brought to today's format when it is opened.

A format is the `user_version` of a file. Migrations change the content in order; each leads from
one format to the next:

    format 1 ── MIGRATIONS[0] ──> 2 ── MIGRATIONS[1] ──> 3 …

All migrations that a file lacks run in one transaction: a process that dies on the way leaves the
old file or the new one. Before that the file is copied to `<file>.v<format>.bak`. The server
deletes this copy only together with the app. What does not change the format (indexes, views,
system attrs) is renewed without a migration: see `store.sqlite.engine`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from trice.log import fields
from trice.store.sqlite.attr_rows import load_catalog, update_attr
from trice.store.sqlite.connection import Connection

logger: Final = logging.getLogger("trice.store")


@dataclass(frozen=True, slots=True)
class Migration:
    """Leads from one format to the next. `run` finds a transaction open, and leaves it open."""

    name: str
    run: Callable[[Connection], None]


def backup_path(path: Path, version: int) -> Path:
    """Where a file is copied to before it leaves a format."""
    return path.with_name(f"{path.name}.v{version}.bak")


def find_backups(path: Path) -> list[Path]:
    """Every copy of a file that a migration made, unfinished ones too, and SQLite's files beside
    them: the journal of an interrupted copy, the log of a copy that is open somewhere."""
    return [*path.parent.glob(f"{path.name}.v*.bak*")]


def migrate(connection: Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Bring a file to the format that `migrations` end with; a new file is left alone.

    connection  the only one that writes the file; its format was checked
    raises      Unavailable("overloaded") when there is no room for the copy or the changes; then
                the file is unchanged
    cost        none for a file of today's format; else a copy of the file, and what each migration
                says
    """
    found, newest = connection.format, len(migrations) + 1
    if found in (0, newest):
        return
    kept = backup_path(path, found)
    _back_up(connection, kept)
    connection.run("BEGIN IMMEDIATE")
    try:
        for migration in migrations[found - 1 :]:
            migration.run(connection)
        connection.run(f"PRAGMA user_version = {newest}")
        connection.run("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    told = fields(file=str(path), format_before=found, format=newest, backup=str(kept))
    logger.warning("database file migrated %s", told)


def _back_up(connection: Connection, kept: Path) -> None:
    """Copy the file. A file with the name `kept` is always a whole copy."""
    part = kept.with_name(f"{kept.name}.part")
    part.unlink(missing_ok=True)
    try:
        connection.copy_to(str(part))
        part.replace(kept)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(kept.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _log_of_whole_commits(connection: Connection) -> None:
    """Number the attrs, drop the index of event ids, and empty the `changes` of the log's rows: in
    format 1 they did not lead to commits. The event ids stay. Costs 1 µs a row of the log."""
    connection.run("DROP INDEX _tx_event")
    connection.run("UPDATE _tx SET changes = x''")
    for number, attr in enumerate(load_catalog(connection).by_id.values(), start=1):
        update_attr(connection, replace(attr, number=number))


MIGRATIONS: Final = (Migration("the log leads to whole commits", _log_of_whole_commits),)

FORMAT: Final = len(MIGRATIONS) + 1
"""`user_version` of the files of apps that this server writes and reads."""
