"""The platform's own table: which apps exist, who administers them, until when they live.

A small SQLite file beside the app files; its statements are few and short, so they run on the loop.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import orjson

from trice.apps.settings import Settings
from trice.protocol.ids import AppId

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
_LATER_COLUMNS: Final = {"settings": "TEXT"}
"""Columns that files made by earlier versions lack."""

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
    """Holds the apps' rows on disk. Does not hold their databases."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        for pragma, expected in (
            ("PRAGMA journal_mode = WAL", "wal"),
            ("PRAGMA synchronous = FULL", None),
        ):
            rows = self._connection.execute(pragma).fetchall()
            assert expected is None or rows == [(expected,)], f"{pragma} gave {rows}"
        self._connection.execute(_SCHEMA)
        known = {row[1] for row in self._connection.execute("PRAGMA table_info(apps)")}
        for name, kind in _LATER_COLUMNS.items():
            if name not in known:
                self._connection.execute(f"ALTER TABLE apps ADD COLUMN {name} {kind}")
        self._connection.execute(
            "CREATE INDEX IF NOT EXISTS apps_by_token ON apps (admin_token_hash)"
        )

    def insert(self, row: AppRow) -> None:
        """Add an app; its id must be new."""
        self._connection.execute(
            f"INSERT INTO apps ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                row.title,
                row.admin_token_hash,
                int(row.is_open),
                None if row.rules is None else orjson.dumps(row.rules).decode(),
                row.created_ms,
                row.expires_ms,
                msgspec.json.encode(row.settings).decode(),
            ),
        )

    def set_rules(self, app_id: AppId, rules: Any) -> None:
        """Replace an app's rules document; None is none."""
        text = None if rules is None else orjson.dumps(rules).decode()
        self._connection.execute("UPDATE apps SET rules = ? WHERE id = ?", (text, app_id))

    def set_token(self, app_id: AppId, token: str) -> None:
        """Replace an app's admin token."""
        self._connection.execute(
            "UPDATE apps SET admin_token_hash = ? WHERE id = ?", (hash_token(token), app_id)
        )

    def set_settings(self, app_id: AppId, settings: Settings) -> None:
        """Replace an app's settings."""
        text = msgspec.json.encode(settings).decode()
        self._connection.execute("UPDATE apps SET settings = ? WHERE id = ?", (text, app_id))

    def find(self, app_id: AppId) -> AppRow | None:
        """The app with this id."""
        rows = self._select("WHERE id = ?", (app_id,))
        return rows[0] if rows else None

    def has_token(self, token: str) -> bool:
        """Whether a uuid is the admin token of some app."""
        found = self._connection.execute(
            "SELECT 1 FROM apps WHERE admin_token_hash = ?", (hash_token(token),)
        )
        return found.fetchone() is not None

    def find_title(self, title: str) -> AppRow | None:
        """The oldest app with this title."""
        rows = self._select("WHERE title = ? ORDER BY created_ms LIMIT 1", (title,))
        return rows[0] if rows else None

    def expired(self, now_ms: int) -> list[AppRow]:
        """Throw-away apps whose time is over."""
        return self._select("WHERE expires_ms <= ?", (now_ms,))

    def delete(self, app_id: AppId) -> None:
        """Forget an app; unknown ones are no error."""
        self._connection.execute("DELETE FROM apps WHERE id = ?", (app_id,))

    def close(self) -> None:
        self._connection.close()

    def _select(self, tail: str, bindings: tuple[Any, ...]) -> list[AppRow]:
        found = self._connection.execute(f"SELECT {_COLUMNS} FROM apps {tail}", bindings)
        return [
            AppRow(
                AppId(app_id),
                title,
                token_hash,
                bool(is_open),
                None if rules is None else orjson.loads(rules),
                created_ms,
                expires_ms,
                Settings() if settings is None else msgspec.json.decode(settings, type=Settings),
            )
            for app_id, title, token_hash, is_open, rules, created_ms, expires_ms, settings in found
        ]
