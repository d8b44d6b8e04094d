"""The platform's own table: which apps exist, who administers them, until when they live.

A small SQLite file beside the app files; its statements are few and short, so they run on the loop.
This process alone writes it, so a row is read and decoded once, and kept.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import orjson

from trice import limits
from trice.apps.settings import Settings
from trice.errors import Unavailable
from trice.protocol.ids import AppId
from trice.store.sqlite.connection import translated
from trice.store.sqlite.write_ahead import is_log_damaged

FORMAT: Final = 1
"""`user_version` of platform.db, and so the format of a data directory: a version that writes app
files in another way raises it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS apps (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    admin_token_hash BLOB NOT NULL,
    is_open INTEGER NOT NULL,
    rules TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
) STRICT
"""
_LATER_COLUMNS: Final = {
    "settings": ("TEXT", None),
    # Until then a sample's app was known by its title, which anybody may give to an app that ends.
    "sample": (
        "TEXT",
        "UPDATE apps SET sample = substr(title, 9) WHERE expires_ms IS NULL AND rowid IN (SELECT"
        " min(rowid) FROM apps WHERE title GLOB 'sample: *' AND expires_ms IS NULL GROUP BY title)",
    ),
}
"""Columns that files made by earlier versions lack, and what fills them."""

_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS apps_by_token ON apps (admin_token_hash)",
    "CREATE INDEX IF NOT EXISTS apps_by_end ON apps (expires_ms) WHERE expires_ms IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS apps_by_sample ON apps (sample) WHERE sample IS NOT NULL",
)
_HAS_TABLE: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'apps'"
_ALTHOUGH: Final = "although there are files of apps"
_COLUMNS: Final = "id, title, admin_token_hash, is_open, rules, created_ms, expires_ms, settings"


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app as the platform knows it.

    is_open     whether callers may do what no rule speaks about
    rules       the rules document as given, or None
    expires_ms  throw-away apps: when it ends; None lives on
    """

    id: AppId
    title: str
    admin_token_hash: bytes
    is_open: bool
    rules: Any
    created_ms: int
    expires_ms: int | None
    settings: Settings


def hash_token(token: str) -> bytes:
    """SHA-256 of a uuid token's 16 bytes; only this is stored (instant-http §0.5)."""
    return hashlib.sha256(bytes.fromhex(token.replace("-", ""))).digest()


class Registry:
    """Holds the apps' rows on disk, and those used last decoded. Does not hold their databases.

    Every method may raise Unavailable: "overloaded" when the disk is full, "data-unusable" when
    the file is damaged.
    """

    def __init__(self, path: Path, *, can_create: bool = True) -> None:
        """Open the file, or make it.

        can_create   False: the file must be there, and hold a list
        raises       Unavailable("data-unusable") when it is damaged, of a newer version, not ours
        """
        if not can_create and (not path.exists() or path.stat().st_size == 0):
            raise _unusable(path, f"it is missing or empty, {_ALTHOUGH}")
        if is_log_damaged(path):
            raise _unusable(path, f"its last part, {path.name}-wal, is damaged")
        self._rows: OrderedDict[AppId, tuple[AppRow, int]] = OrderedDict()
        self._rows_bytes = 0
        try:
            self._connection = apsw.Connection(str(path))
        except apsw.Error as error:
            raise _unusable(path, f"it cannot be opened ({error})") from error
        try:
            self._prepare(path, can_create=can_create)
        except apsw.Error as error:
            self._connection.close()
            raise _unusable(path, f"it cannot be read or written ({error})") from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, path: Path, *, can_create: bool) -> None:
        execute = self._connection.execute
        execute("PRAGMA busy_timeout = 1000")
        ((found,),) = execute("PRAGMA user_version").fetchall()
        assert isinstance(found, int)
        if found > FORMAT:
            raise _unusable(
                path,
                f"it is of format {found}, and this version of trice knows format {FORMAT}: a newer"
                " version wrote it. Start that one",
            )
        if not can_create and not execute(_HAS_TABLE).fetchall():
            raise _unusable(path, f"nothing is in it, {_ALTHOUGH}, as when its -wal was left out")
        for pragma, expected in (
            ("PRAGMA journal_mode = WAL", "wal"),
            ("PRAGMA synchronous = FULL", None),
        ):
            rows = execute(pragma).fetchall()
            assert expected is None or rows == [(expected,)], f"{pragma} gave {rows}"
        if path.stat().st_size <= limits.REGISTRY_CHECKED_BYTES_MAX:
            ((verdict,),) = execute("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok":
                raise _unusable(path, f"it is damaged ({verdict})")
        with self._connection:
            execute(_SCHEMA)
            known = {row[1] for row in execute("PRAGMA table_info(apps)")}
            for name, (kind, filling) in _LATER_COLUMNS.items():
                if name not in known:
                    execute(f"ALTER TABLE apps ADD COLUMN {name} {kind}")
                    if filling is not None:
                        execute(filling)
            for index in _INDEXES:
                execute(index)
            if found != FORMAT:
                execute(f"PRAGMA user_version = {FORMAT}")

    def insert(self, row: AppRow, *, sample: str | None = None) -> None:
        """Add an app; its id must be new.

        sample   the sample whose app it is
        """
        self._run(
            f"INSERT INTO apps ({_COLUMNS}, sample) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                row.title,
                row.admin_token_hash,
                int(row.is_open),
                None if row.rules is None else orjson.dumps(row.rules).decode(),
                row.created_ms,
                row.expires_ms,
                msgspec.json.encode(row.settings).decode(),
                sample,
            ),
        )

    def set_rules(self, app_id: AppId, rules: Any) -> None:
        """Replace an app's rules document; None is none."""
        text = None if rules is None else orjson.dumps(rules).decode()
        self._run("UPDATE apps SET rules = ? WHERE id = ?", (text, app_id))
        self._replace(app_id, rules=rules)

    def set_token(self, app_id: AppId, token: str) -> None:
        """Replace an app's admin token."""
        token_hash = hash_token(token)
        self._run("UPDATE apps SET admin_token_hash = ? WHERE id = ?", (token_hash, app_id))
        self._replace(app_id, admin_token_hash=token_hash)

    def set_settings(self, app_id: AppId, settings: Settings) -> None:
        """Replace an app's settings."""
        text = msgspec.json.encode(settings).decode()
        self._run("UPDATE apps SET settings = ? WHERE id = ?", (text, app_id))
        self._replace(app_id, settings=settings)

    def find(self, app_id: AppId) -> AppRow | None:
        """The app with this id. Costs 0.2 µs when it was looked up lately."""
        kept = self._rows.get(app_id)
        if kept is not None:
            self._rows.move_to_end(app_id)
            return kept[0]
        found = self._run(f"SELECT {_COLUMNS} FROM apps WHERE id = ?", (app_id,))
        return self._keep(found[0]) if found else None

    def has_token(self, token: str) -> bool:
        """Whether a uuid is the admin token of some app."""
        found = self._run("SELECT 1 FROM apps WHERE admin_token_hash = ?", (hash_token(token),))
        return bool(found)

    def find_sample(self, name: str) -> AppId | None:
        """The app of a sample."""
        found = self._run("SELECT id FROM apps WHERE sample = ?", (name,))
        return AppId(found[0][0]) if found else None

    def expired(self, now_ms: int) -> list[AppId]:
        """Throw-away apps whose time is over."""
        found = self._run("SELECT id FROM apps WHERE expires_ms <= ?", (now_ms,))
        return [AppId(app_id) for (app_id,) in found]

    def delete(self, app_id: AppId) -> None:
        """Forget an app; unknown ones are no error."""
        self._run("DELETE FROM apps WHERE id = ?", (app_id,))
        self._forget(app_id)

    def close(self) -> None:
        self._connection.close()

    def _run(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(sql, bindings))
        except apsw.Error as error:
            raise translated(error, sql) from error

    def _keep(self, found: tuple[Any, ...]) -> AppRow:
        app_id, title, token_hash, is_open, rules, created_ms, expires_ms, settings = found
        row = AppRow(
            AppId(app_id),
            title,
            token_hash,
            bool(is_open),
            None if rules is None else orjson.loads(rules),
            created_ms,
            expires_ms,
            Settings() if settings is None else msgspec.json.decode(settings, type=Settings),
        )
        self._put(row, len(rules or "") + len(settings or ""))
        return row

    def _put(self, row: AppRow, size: int) -> None:
        self._forget(row.id)
        self._rows[row.id] = (row, size)
        self._rows_bytes += size
        while (
            len(self._rows) > limits.APP_ROWS_KEPT
            or self._rows_bytes > limits.APP_ROWS_KEPT_BYTES_MAX
        ):
            self._forget(next(iter(self._rows)))

    def _replace(self, app_id: AppId, **changes: Any) -> None:
        """What is kept of a row follows what was written."""
        kept = self._rows.get(app_id)
        if kept is not None:
            row = replace(kept[0], **changes)
            rules_bytes = 0 if row.rules is None else len(orjson.dumps(row.rules))
            self._put(row, rules_bytes + len(msgspec.json.encode(row.settings)))

    def _forget(self, app_id: AppId) -> None:
        kept = self._rows.pop(app_id, None)
        if kept is not None:
            self._rows_bytes -= kept[1]


def _unusable(path: Path, problem: str) -> Unavailable:
    return Unavailable(
        "data-unusable",
        f"{path}, the list of all apps, cannot be used: {problem}. To restore a backup, stop the"
        " server and put back the whole data directory, files that end in -wal included.",
    )
