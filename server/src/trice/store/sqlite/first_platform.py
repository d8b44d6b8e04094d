"""The list of apps as the first versions kept it: a table of its own in platform.db.

It is read once, when a later version opens the data directory, and then stays as a backup.

    platform.db (table `apps`) ──> its rows are written to platform-new.db
                               ──> copied to platform.db.v1.bak ──> replaced by platform-new.db

Until the last step, which is one renaming, the old file is in its place and unchanged. If the
process ends before that, the next start begins anew.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw

from trice import limits
from trice.errors import Unavailable
from trice.log import fields
from trice.store.sqlite.connection import translated
from trice.store.sqlite.migrations import backup_path
from trice.store.sqlite.write_ahead import is_log_damaged

logger: Final = logging.getLogger("trice.store")

_COLUMNS: Final = (
    "SELECT (SELECT count(*) FROM sqlite_schema WHERE name = '_attrs'), name"
    " FROM pragma_table_info('apps')"
)
_FIELDS: Final = (
    ("id", "id"),
    ("title", "title"),
    ("adminTokenHash", "lower(hex(admin_token_hash))"),
    ("isOpen", "is_open"),
    ("rules", "rules"),
    ("createdAt", "created_ms"),
    ("expiresAt", "expires_ms"),
)
"""The fields of `$apps`, and the SQL that makes each from an app's row."""

# Before the column existed, a sample's app was known by its title, which a throw-away app may have
# too.
_SAMPLE_BY_TITLE: Final = (
    "CASE WHEN expires_ms IS NULL AND rowid IN (SELECT min(rowid) FROM apps WHERE title GLOB"
    " 'sample: *' AND expires_ms IS NULL GROUP BY title) THEN substr(title, 9) END"
)


class FirstPlatform:
    """A file of that form, closed between two calls. All calls block."""

    def __init__(self, path: Path, new: Path, columns: frozenset[str]) -> None:
        """Use `find`."""
        self._path = path
        self._new = new
        self._fields = dict(_FIELDS)
        # The later ones of the first versions had these columns too.
        self._fields["settings"] = "settings" if "settings" in columns else "NULL"
        self._fields["sample"] = "sample" if "sample" in columns else _SAMPLE_BY_TITLE

    @classmethod
    def find(cls, path: Path, new: Path) -> FirstPlatform | None:
        """The file at `path` if it has that form; None too if it cannot be read at all.

        new     where the file is made that takes its place
        raises  Unavailable("data-unusable") when it has that form, and is damaged
        """
        if not path.exists() or path.stat().st_size == 0 or is_log_damaged(path):
            return None
        try:
            with closing(apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)) as connection:
                found = connection.execute(_COLUMNS).fetchall()
                if not found or found[0][0]:
                    return None
                ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        except apsw.Error:
            return None
        if verdict != "ok":
            raise Unavailable(
                "data-unusable", f"It is damaged ({verdict}); its operator must restore a backup."
            )
        return cls(path, new, frozenset(str(name) for _, name in found))

    def apps(self, *, after: str, count: int) -> list[dict[str, Any]]:
        """The fields of `$apps` for at most `count` apps whose ids come after this one, by id.

        raises  Unavailable("data-unusable") when the file is damaged
        """
        named = ", ".join(f'{value} AS "{label}"' for label, value in self._fields.items())
        sql = f"SELECT {named} FROM apps WHERE id > ? ORDER BY id LIMIT ?"
        try:
            with closing(apsw.Connection(str(self._path))) as connection:
                rows = connection.execute(sql, (after, count)).fetchall()
        except apsw.Error as error:
            raise translated(error, sql) from error
        found = [dict(zip(self._fields, row, strict=True)) for row in rows]
        for app in found:
            # Titles could contain U+0000, which no value of an app may contain.
            app.update(isOpen=bool(app["isOpen"]), title=str(app["title"]).replace("\0", ""))
        return found

    def replace(self) -> None:
        """Put the new file, which is closed, in the place of this one, which stays as a backup.

        raises  Unavailable, OSError: then this file is still in its place
        """
        for path in (self._path, self._new):
            _empty_log(path)
        backup = backup_path(self._path, 1)
        draft = backup.with_name(f"{backup.name}.part")
        shutil.copyfile(self._path, draft)
        for path in (draft, self._new):
            _sync(path)
        os.replace(draft, backup)
        os.replace(self._new, self._path)
        _sync(self._path.parent)
        told = fields(file=str(self._path), backup=str(backup))
        logger.warning("list of apps taken over %s", told)


def _empty_log(path: Path) -> None:
    """Copy the content of the file's -wal into the file, and remove -wal and -shm.

    raises  Unavailable("overloaded") when another process has the file open: a server that opened
            the new file in its place would share the -shm with that process, and find it damaged
    """
    sql = "PRAGMA wal_checkpoint(TRUNCATE)"
    try:
        with closing(apsw.Connection(str(path))) as connection:
            connection.set_busy_timeout(limits.STORE_BUSY_MS)
            connection.execute("PRAGMA locking_mode = exclusive").fetchall()
            connection.execute(sql).fetchall()
    except apsw.Error as error:
        raise translated(error, sql) from error
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)  # of a process that was killed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
