"""Apps: made, found, opened while somebody uses them, closed and deleted.

data-dir/platform.db        the registry
data-dir/apps/<id>.db       one SQLite file per app
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from trice import limits
from trice.apps.registry import AppRow, Registry, hash_token
from trice.apps.settings import Settings
from trice.database import Database
from trice.errors import NotFound, Unavailable, no_record
from trice.log import fields
from trice.metrics import AppCounts, LiveCounts
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.rate_limit import Buckets
from trice.rules.document import Rules
from trice.rules.warnings import warnings_wire
from trice.runtime import Runtime, new_uuid
from trice.slow_log import SlowLog

logger: Final = logging.getLogger("trice.apps")


def wrong_admin_token() -> NotFound:
    """The error for an admin token that is not the app's, and for any with an unknown app."""
    return NotFound(
        "record-not-found",
        "Record not found: app-admin-token. There is no app with this id and this admin token.",
        {
            "record-type": "app-admin-token",
            "args": [],
            "message": "There is no app with this id and this admin token.",
        },
    )


@dataclass(slots=True, eq=False)
class App:
    """An app in use.

    users  how many sessions and requests hold it; at 0 its database may be closed
    """

    row: AppRow
    database: Database
    users: int = 0

    @property
    def id(self) -> AppId:
        return self.row.id

    @property
    def title(self) -> str:
        return self.row.title

    def check_admin_token(self, token: Any) -> None:
        """Raise unless `token` is this app's admin token; compared in constant time."""
        if find_uuid_bytes(token) is None or not hmac.compare_digest(
            hash_token(token), self.row.admin_token_hash
        ):
            raise wrong_admin_token()

    @property
    def is_ephemeral(self) -> bool:
        """Whether it is a throw-away app, which anybody may have made."""
        return self.row.expires_ms is not None

    @property
    def settings(self) -> Settings:
        """What its developer has set."""
        return self.row.settings


class Apps:
    """All apps of this server.

    Holds the databases in use. Does not hold sessions; `on_delete` tells their hub.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        runtime: Runtime,
        is_open_by_default: bool,
        slow_log: SlowLog | None = None,
    ) -> None:
        self._folder = data_dir / "apps"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._registry = Registry(data_dir / "platform.db")
        self._runtime = runtime
        self._is_open_by_default = is_open_by_default
        self.buckets = Buckets(runtime)
        self._slow_log = slow_log
        self.counts_of_closed = AppCounts(LiveCounts())
        self._open: dict[AppId, App] = {}
        self._opening: dict[AppId, asyncio.Task[None]] = {}
        self._closing: dict[AppId, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closed = False
        self.on_delete: Callable[[AppId], None] = lambda app_id: None

    def start(self) -> None:
        """Begin to delete throw-away apps whose time is over."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_forever())

    async def create(
        self,
        *,
        title: str,
        schema: Any = None,
        rules: Any = None,
        is_open: bool | None = None,
        life_ms: int | None = None,
    ) -> tuple[App, str]:
        """Make an app and its database; return it, lent to the caller, and its admin token.

        schema   InstantSchemaDef as JSON, or None
        is_open  whether callers may do what no rule speaks about; None: as the server's setting
        life_ms  None: until deleted
        raises   InvalidInput; then nothing is left behind
        """
        rules = rules or None
        if is_open is None:
            is_open = self._is_open_by_default
        compiled = await compile_rules(rules, is_open=is_open)
        app_id = AppId(new_uuid(self._runtime))
        token = new_uuid(self._runtime)
        now_ms = self._runtime.now_ms()
        row = AppRow(
            id=app_id,
            title=title,
            admin_token_hash=hash_token(token),
            is_open=is_open,
            rules=rules,
            created_ms=now_ms,
            expires_ms=None if life_ms is None else now_ms + life_ms,
            settings=Settings(),
        )
        try:
            database = await self._database(row, compiled, schema=schema)
        except BaseException:
            self._delete_files(app_id)
            raise
        self._registry.insert(row)
        app = App(row, database, users=1)
        self._open[app_id] = app
        logger.info("app created %s", fields(app=app_id, title=repr(title), open=row.is_open))
        return app, token

    async def find_or_create_open(self, title: str) -> AppId:
        """The open app of this title; made if there is none. For the sample apps."""
        row = self._registry.find_title(title)
        if row is not None:
            return row.id
        app, _ = await self.create(title=title, is_open=True)
        self.give_back(app)
        return app.id

    async def renew_admin_token(self, app_id: AppId) -> str:
        """Give the app another admin token, and return it; the one before is nobody's from now on.

        For the sample apps: nobody was told the token they were made with.
        """
        app = await self.lend(app_id)
        try:
            token = new_uuid(self._runtime)
            self._registry.set_token(app.id, token)
            app.row = replace(app.row, admin_token_hash=hash_token(token))
            return token
        finally:
            self.give_back(app)

    def get_row(self, app_id: str) -> AppRow:
        """The app's row; raises NotFound for unknown and expired ones."""
        row = self._registry.find(AppId(app_id.lower()))
        if row is None or (row.expires_ms is not None and row.expires_ms <= self._runtime.now_ms()):
            told = "There is no app with this id, or its time is over."
            raise no_record("app", told, {"app-id": app_id})
        return row

    def is_admin_token(self, token: str) -> bool:
        """Whether a uuid is the admin token of any app: to tell mixed-up tokens from wrong ones."""
        return self._registry.has_token(token)

    async def set_rules(self, app_id: str, document: Any) -> AppRow:
        """Put other rules in force, for live queries at once.

        document   decoded JSON of any shape; None, or empty, is no rules
        raises     InvalidInput("validation-failed", data-type "rule"); then the old rules stay
        """
        document = document or None
        row = self.get_row(app_id)
        rules = await compile_rules(document, is_open=row.is_open)
        app = await self.lend(app_id)
        try:
            if app.row.rules != document:
                self._registry.set_rules(app.id, document)
                app.row = replace(app.row, rules=document)
                app.database.set_rules(rules)
            return app.row
        finally:
            self.give_back(app)

    async def change_settings(
        self, app_id: str, change: Callable[[Settings], Settings]
    ) -> Settings:
        """Change an app's settings; nobody else changes them meanwhile."""
        app = await self.lend(app_id)
        try:
            settings = change(app.row.settings)
            self._registry.set_settings(app.id, settings)
            app.row = replace(app.row, settings=settings)
            return settings
        finally:
            self.give_back(app)

    async def lend(self, app_id: str) -> App:
        """The app, with its database open until `give_back`."""
        if self._is_closed:
            raise Unavailable("overloaded", "The server is stopping; try again in a moment.")
        row = self.get_row(app_id)
        while (app := self._open.get(row.id)) is None:
            await asyncio.shield(self._opening.get(row.id) or self._begin_opening(row))
            row = self.get_row(app_id)  # it may have been deleted meanwhile
        app.users += 1
        return app

    def give_back(self, app: App) -> None:
        """The caller of `lend` or `create` is done with it."""
        app.users -= 1
        assert app.users >= 0, f"app {app.id} was given back more often than lent"

    @property
    def in_memory(self) -> list[App]:
        """Those whose databases are open."""
        return list(self._open.values())

    def forget_unwatched(self) -> None:
        """Free what only live queries need, in apps that have none."""
        for app in self._open.values():
            app.database.forget_unwatched()

    async def delete(self, app_id: AppId) -> None:
        """End an app: its row, its sessions, its files."""
        # The row first: from here on nobody can begin to open it.
        self._registry.delete(app_id)
        while (opening := self._opening.get(app_id)) is not None:
            await asyncio.gather(opening, return_exceptions=True)
        self.on_delete(app_id)
        app = self._open.pop(app_id, None)
        if app is not None:
            self._close_database(app)
        await self._wait_closed(app_id)
        self._delete_files(app_id)
        logger.info("app deleted %s", fields(app=app_id))

    async def close(self) -> None:
        """Finish every accepted write and close all files."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(app.database.close() for app in self._open.values()))
        await asyncio.gather(*self._closing.values(), return_exceptions=True)
        self._open.clear()
        self._registry.close()

    def _begin_opening(self, row: AppRow) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._open_database(row))
        self._opening[row.id] = task
        task.add_done_callback(lambda _: self._opening.pop(row.id, None))
        return task

    async def _open_database(self, row: AppRow) -> None:
        await self._wait_closed(row.id)
        await self._close_idle()
        rules = await compile_rules(row.rules, is_open=row.is_open, is_stored=True)
        database = await self._database(row, rules)
        self._open[row.id] = App(row, database)

    async def _database(self, row: AppRow, rules: Rules, *, schema: Any = None) -> Database:
        return await Database.open(
            self._path(row.id),
            runtime=self._runtime,
            rules=rules,
            app_id=row.id,
            buckets=self.buckets,
            slow_log=self._slow_log,
            schema=schema,
        )

    async def _close_idle(self) -> None:
        """Make room when many databases are open; those in use stay."""
        surplus = len(self._open) - limits.APPS_OPEN_MAX + 1
        idle = [app for app in self._open.values() if app.users == 0]
        closed = idle[: max(surplus, 0)]
        for app in closed:
            del self._open[app.id]
            self._close_database(app)
        for app in closed:
            await self._wait_closed(app.id)

    def _close_database(self, app: App) -> None:
        """Begin to close; until it is done, `_open_database` of the same app waits: two writers
        on one file would give the same transaction ids."""
        self.counts_of_closed.add(app.database.counts)
        task = asyncio.get_running_loop().create_task(app.database.close())
        self._closing[app.id] = task
        task.add_done_callback(lambda _: self._closing.pop(app.id, None))

    async def _wait_closed(self, app_id: AppId) -> None:
        task = self._closing.get(app_id)
        if task is not None:
            await asyncio.shield(task)

    async def _sweep_forever(self) -> None:
        while True:
            for row in self._registry.expired(self._runtime.now_ms()):
                try:
                    await self.delete(row.id)
                except Exception:
                    logger.exception("expired app not deleted %s", fields(app=row.id))
            await self._runtime.sleep_ms(limits.APP_SWEEP_INTERVAL_MS)

    def _path(self, app_id: AppId) -> Path:
        return self._folder / f"{app_id}.db"

    def _delete_files(self, app_id: AppId) -> None:
        path = self._path(app_id)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


async def compile_rules(document: Any, *, is_open: bool, is_stored: bool = False) -> Rules:
    """Check and compile a rules document.

    is_stored   it was saved before: nothing is refused (see `Rules.parse`)
    raises      InvalidInput that names every mistake
    """
    if not document:
        return Rules.parse(None, is_open=is_open)
    # Compiling is 0.2 ms an expression: a large document would hold up the loop.
    return await asyncio.to_thread(Rules.parse, document, is_open=is_open, is_stored=is_stored)


async def rule_warnings(app: App, rules: Rules | None = None) -> list[dict[str, Any]]:
    """What is probably not meant in rules: `[{"message", "in", "hint"?}]`.

    rules   others than those in force, to be tried
    """
    rules = app.database.rules if rules is None else rules
    if rules.source is None:
        return []
    return await asyncio.to_thread(warnings_wire, rules, app.database.catalog)
