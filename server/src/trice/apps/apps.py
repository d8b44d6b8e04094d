"""Apps: made, found, opened while they are used, closed and deleted.

The registry knows which apps exist; `store.engines` knows where each is kept.
A little over 500 lines, one file because opening an app must know whether it is being closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeVar

import orjson

from trice import archive_limits, limits
from trice.apps import quotas
from trice.apps.allowances import Allowances, ServerQuotas
from trice.apps.app import NOTHING_BESIDE, Beside, stopping
from trice.apps.app import App as App
from trice.apps.app import wrong_admin_token as wrong_admin_token
from trice.apps.compile import Compiler, Warned
from trice.apps.meters import Meters
from trice.apps.quotas import Allowed, Quotas
from trice.apps.registry import AppRow, Registry, hash_token, unknown_app
from trice.apps.settings import Settings
from trice.background import Background
from trice.database import Change, Database
from trice.errors import Conflict, Unavailable
from trice.identity import SERVER, TurnKey
from trice.log import fields
from trice.loop_shares import LoopShares
from trice.metrics import AppCounts, LiveCounts
from trice.protocol.ids import AppId
from trice.rate_limit import Buckets
from trice.rules.document import Rules
from trice.runtime import Runtime, new_uuid
from trice.slow_log import SlowLog
from trice.store.commit import Commit
from trice.store.engines import Engines
from trice.store.loading import Loading

logger: Final = logging.getLogger("trice.apps")

T = TypeVar("T")
NO_QUOTAS: Final = ServerQuotas()
SealToken = Callable[[AppId, str], str]
"""Seals the admin token of an app, so that only this server can read it again."""


class Apps:
    """All apps of this server.

    Holds the databases in use, and unused ones that were used last. Does not hold sessions;
    `on_delete` tells their hub, and `delete_files` deletes the bytes of their files.
    `url_of` makes the URL of a file from its app and location; `commit_listeners` hear of the
    commits of apps that are opened after they were added.
    `platform` is the database of the platform, for what else is kept there: accounts, webhooks.

    A database is open, being opened, being made, or being closed; in each state its files count.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        engines: Engines,
        runtime: Runtime,
        is_open_by_default: bool,
        slow_log: SlowLog | None = None,
        files_max: int | None = None,
        has_quotas: bool = True,
        server_quotas: ServerQuotas = NO_QUOTAS,
    ) -> None:
        """Use `open`."""
        self.allowances = Allowances(registry, server_quotas, has_quotas=has_quotas)
        self.meters = Meters(runtime)
        self.loop_shares = LoopShares(runtime)
        self._engines = engines
        self._registry = registry
        self._compiler = Compiler()
        self._runtime = runtime
        self._is_open_by_default = is_open_by_default
        self._files_max = files_max
        self.has_quotas = has_quotas
        self.buckets = Buckets(runtime)
        self._slow_log = slow_log
        self.counts_of_closed = AppCounts(LiveCounts())
        # In the order of last use; unused databases of throw-away apps are among them.
        self._open: dict[AppId, App] = {}
        self._idle_ephemeral: dict[AppId, App] = {}
        self._opening: dict[AppId, asyncio.Task[None]] = {}
        self._closing: dict[AppId, asyncio.Task[None]] = {}
        # Keyed by whether the app is a throw-away one. A file counts from before it is opened until
        # it is closed.
        self._files = {True: 0, False: 0}
        self._failures: dict[AppId, str] = {}
        self._changes: set[asyncio.Task[Any]] = set()
        self._making: set[AppId] = set()
        self._is_closed = False
        self.url_of: Callable[[AppId, str], str] | None = None
        self.commit_listeners: list[Callable[[AppId, Sequence[Commit]], None]] = []
        self.on_delete: Callable[[AppId], None] = lambda app_id: None
        self.delete_files: Callable[[AppId], Awaitable[None]] = _nothing

    @property
    def platform(self) -> Database:
        return self._registry.database

    @classmethod
    async def open(
        cls,
        engines: Engines,
        *,
        runtime: Runtime,
        is_open_by_default: bool,
        slow_log: SlowLog | None = None,
        files_max: int | None = None,
        has_quotas: bool = True,
        server_quotas: ServerQuotas = NO_QUOTAS,
    ) -> Apps:
        """Open the registry; databases of apps are opened when used.

        engines     where the apps are kept
        files_max   how many databases the process has descriptors for; None: no bound
        has_quotas  whether throw-away apps are bounded in number, rows, bytes and users
        server_quotas   what holds for each app where nothing else is set
        raises      as `Registry.open`
        """
        return cls(
            await Registry.open(engines, runtime=runtime),
            engines=engines,
            runtime=runtime,
            is_open_by_default=is_open_by_default,
            slow_log=slow_log,
            files_max=files_max,
            has_quotas=has_quotas,
            server_quotas=server_quotas,
        )

    def start(self, background: Background) -> None:
        """Begin to close unused databases, and to delete expired apps."""
        interval_ms = limits.APP_SWEEP_INTERVAL_MS
        background.every("idle-apps", interval_ms, lambda _: self.close_old())
        background.every(
            "expired-apps", interval_ms, lambda _: self.delete_expired(), is_due_now=True
        )

    async def create(
        self,
        *,
        title: str,
        schema: Any = None,
        rules: Any = None,
        is_open: bool | None = None,
        life_ms: int | None = None,
        sample: str | None = None,
        owner: str | None = None,
        org: str | None = None,
        app_id: str | None = None,
        token: str | None = None,
        seal: SealToken | None = None,
        turn_key: TurnKey = SERVER,
    ) -> tuple[App, str]:
        """Make an app and its database; return it, lent to the caller, and its admin token.

        schema   InstantSchemaDef as JSON, or None
        is_open  whether callers may do what no rule speaks about; None: the server's setting
        life_ms  None: until it is deleted
        sample   name of the sample that the app is for
        owner, org   id of the account, or organisation, that it belongs to
        app_id, token   uuids in lower case that the caller chose; None: drawn here
        seal     how to keep the token for its owner; None: it is kept as its hash only
        turn_key    the turn in which its rules are compiled
        raises   InvalidInput, Unavailable, LimitExceeded, Conflict("record-not-unique") for an id
                 that is in use; then nothing is left behind
        """
        if self._is_closed:
            raise stopping()
        rules = rules or None
        if is_open is None:
            is_open = self._is_open_by_default
        compiled = await self._compiler.save(rules, is_open=is_open, turn_key=turn_key)
        made_id = AppId(new_uuid(self._runtime) if app_id is None else app_id)
        token = new_uuid(self._runtime) if token is None else token
        now_ms = self._runtime.now_ms()
        row = AppRow(
            id=made_id,
            title=title,
            admin_token_hash=hash_token(token),
            is_open=is_open,
            rules=rules,
            created_ms=now_ms,
            expires_ms=None if life_ms is None else now_ms + life_ms,
            settings=Settings(),
            owner=owner,
            org=org,
            sealed_token=None if seal is None else seal(made_id, token),
        )
        self.take_id(made_id)
        try:
            database = await self._make(row, compiled, schema=schema, sample=sample)
        finally:
            self._making.discard(made_id)
        app = App(row, database, self.allowances.of(row), self.meters.of(made_id), users=1)
        self._open[made_id] = app
        logger.info("app created %s", fields(app=made_id, title=title, open=row.is_open))
        return app, token

    def take_id(self, app_id: AppId) -> None:
        """Keep an id from others until `give_id_back`; nobody finds the app before.

        raises   Conflict for an id that an app has or had here, so that nobody gets at data of
                 others
        """
        if (
            app_id in self._making
            or self._registry.find(app_id) is not None
            or self._engines.has(app_id)
        ):
            raise Conflict(
                "record-not-unique",
                "There is an app with this id already. Choose another, or leave it out.",
                {"record-type": "app", "value": app_id},
            )
        self._making.add(app_id)

    def give_id_back(self, app_id: AppId) -> None:
        """The app of `take_id` is there, or will not be."""
        self._making.discard(app_id)

    async def _make(
        self, row: AppRow, rules: Rules, *, schema: Any, sample: str | None
    ) -> Database:
        """Make the files and the row of an app; if one fails, neither is left."""
        is_ephemeral = row.expires_ms is not None
        await self._take_files(is_ephemeral=is_ephemeral)
        database: Database | None = None
        try:
            database = await self._database(
                row, rules, self.allowances.of(row), schema=schema, is_new=True
            )
            await self._registry.insert(row, sample=sample)
            return database
        except BaseException:
            if database is not None:
                with suppress(Unavailable):
                    # The caller may have left while the app was written.
                    await self._registry.delete(row.id)
                await database.close()
            self._engines.delete(row.id)
            self._files[is_ephemeral] -= 1
            raise

    async def open_sample(self, name: str) -> AppId:
        """The open app of a sample; made if there is none. Titles of other apps do not matter."""
        found = self._registry.find_sample(name)
        if found is not None:
            return found
        app, _ = await self.create(title=f"sample: {name}", is_open=True, sample=name)
        self.give_back(app)
        return app.id

    async def renew_admin_token(
        self, app_id: AppId, token: str | None = None, *, seal: SealToken | None = None
    ) -> str:
        """Give the app a new admin token, and return it. The old one does not work any more.

        token   a uuid in lower case that the caller chose; None: drawn here
        seal    as for `create`
        """
        app = await self.lend(app_id)
        try:
            token = new_uuid(self._runtime) if token is None else token
            sealed = None if seal is None else seal(app.id, token)
            await self._whole(app, self._put_token(app, token, sealed))
            return token
        finally:
            self.give_back(app)

    def get_row(self, app_id: str) -> AppRow:
        """The app's row; raises NotFound for unknown and expired apps."""
        row = self._registry.find(AppId(app_id.lower()))
        # One that is being made is not there yet: its caller, who chose the id, may ask too soon.
        if row is None or row.deleted_ms is not None or row.id in self._making:
            raise unknown_app(app_id)
        if row.expires_ms is not None and row.expires_ms <= self._runtime.now_ms():
            raise unknown_app(app_id)
        return row

    def find_row(self, app_id: AppId) -> AppRow | None:
        """The row of an app, be its time over or not, or be it deleted for now."""
        return self._registry.find(app_id)

    def has_row(self, app_id: AppId) -> bool:
        """Whether there is an app with this id, be its time over or not."""
        return self._registry.find(app_id) is not None

    def is_admin_token(self, token: str) -> bool:
        """Whether a uuid is the admin token of any app: to tell mixed-up tokens from wrong ones."""
        return self._registry.has_token(token)

    async def compile_rules(
        self, document: Any, *, is_open: bool, turn_key: TurnKey = SERVER
    ) -> Rules:
        """Check and compile a document without putting it in force; raises as `set_rules`."""
        return await self._compiler.save(document, is_open=is_open, turn_key=turn_key)

    async def warnings(
        self, app: App, rules: Rules | None = None, *, turn_key: TurnKey = SERVER
    ) -> Warned:
        """Probable mistakes in rules: `[{"message", "in", "hint"?}]`.

        rules   other rules than those in force, to try out
        turn_key   the turn it takes. If too much waits, the one warning says that there was no
                   check: the request itself is done by then
        """
        rules = app.database.rules if rules is None else rules
        try:
            return await self._compiler.warnings(rules, app.database.catalog, turn_key=turn_key)
        except Unavailable as failure:
            return [{"message": f"Nobody looked for warnings. {failure.message}", "in": []}]

    async def set_rules(
        self,
        app_id: str,
        document: Any,
        *,
        turn_key: TurnKey = SERVER,
        beside: Beside = NOTHING_BESIDE,
    ) -> AppRow:
        """Put other rules in force, for live queries at once.

        document   decoded JSON of any shape; None, or empty, is no rules
        turn_key      the turn in which they are compiled
        raises     InvalidInput("validation-failed", data-type "rule"); then the old rules stay
        """
        document = document or None
        # Lend the app before the turn comes: else the first caller waits for the database, and
        # comes last.
        app = await self.lend(app_id)
        try:
            is_open = app.row.is_open
            rules = await self._compiler.save(document, is_open=is_open, turn_key=turn_key)
            # Compared as JSON, because in Python 1 == True.
            if beside.steps or orjson.dumps(app.row.rules) != orjson.dumps(document):
                await self._whole(app, self._put_rules(app, document, rules, beside))
            return app.row
        finally:
            self.give_back(app)

    async def change_settings(
        self, app_id: str, change: Callable[[Settings], Settings]
    ) -> Settings:
        """Change an app's settings. No other change of them happens meanwhile."""
        app = await self.lend(app_id)
        try:
            return await self._whole(app, self._put_settings(app, change))
        finally:
            self.give_back(app)

    async def rename(self, app_id: str, title: str) -> AppRow:
        """Give an app another title."""
        app = await self.lend(app_id)
        try:
            await self._whole(app, self._put_title(app, title))
            return app.row
        finally:
            self.give_back(app)

    async def check_room(
        self, *, owner: str | None = None, org: str | None = None, promised: int = 0
    ) -> None:
        """Refuse one app more than an account or organisation may have, with those that it will get
        soon; raises LimitExceeded, NotFound."""
        await self._registry.check_room(owner=owner, org=org, promised=promised)

    async def apps_of(
        self, holder: str, *, of: Literal["owner", "org"] = "owner", is_deleted: bool = False
    ) -> list[AppRow]:
        """The apps of an account or organisation, oldest first.

        is_deleted   those that were deleted and can be restored, instead of the others
        """
        now_ms = self._runtime.now_ms()
        rows = await self._registry.apps_of(of, holder)
        if is_deleted:
            return [row for row in rows if row.deleted_ms and (row.expires_ms or 0) > now_ms]
        return [row for row in rows if row.deleted_ms is None]

    async def give(
        self,
        app_id: AppId,
        owner: str | None = None,
        *,
        org: str | None = None,
        also: Callable[[Change, str | None], None] | None = None,
    ) -> None:
        """Hand an app to an account or an organisation. A throw-away app lasts from then on: it is
        opened again, without the bounds of those.

        also   is called in the transaction with the id of who it belonged to, and may refuse
        """
        row = self.get_row(app_id)
        await self._registry.set_holder(app_id, owner=owner, org=org, also=also)
        if row.expires_ms is not None:
            await self._drop(app_id)
        else:
            app = self._open.get(app_id)
            if app is not None:
                app.row = replace(app.row, owner=owner, org=org)
                await self._renew_allowed(app)

    async def give_hidden(self, app_id: AppId, owner: str) -> None:
        """Hand an app that was deleted, and can be restored, to another account."""
        await self._registry.set_holder(app_id, owner=owner)

    async def hide(self, app_id: AppId) -> AppRow:
        """Delete an app so that `restore` can bring it back for account_limits.DELETED_APP_MS;
        then its time is over, as that of a throw-away app. Returns its row as it was."""
        row = self.get_row(app_id)
        await self._registry.mark_deleted(app_id)
        await self._drop(app_id)
        logger.info("app deleted, for now %s", fields(app=app_id))
        return row

    async def restore(self, app_id: AppId) -> AppRow:
        """Undo `hide`; raises NotFound."""
        await self._registry.restore(app_id)
        return self.get_row(app_id)

    def has(self, app_id: AppId) -> bool:
        """Whether something is kept for an app: it is there, or can be restored."""
        row = self._registry.find(app_id)
        ends_ms = None if row is None else row.expires_ms
        return row is not None and (ends_ms is None or ends_ms > self._runtime.now_ms())

    def is_loading(self, app_id: AppId) -> bool:
        """Whether an import fills an app with this id, or was stopped and may go on."""
        return self._engines.is_loading(app_id)

    def open_loading(self, app_id: AppId) -> Loading:
        """What an import kept of an app. Blocks; raises Unavailable while it is being filled."""
        return self._engines.load(app_id, keeps=True)

    async def put_loaded(self, row: AppRow, loading: Loading, *, also: Sequence[Any] = ()) -> None:
        """Put an app that was loaded in place, as `Registry.publish`. One with the same id is
        closed, with its sessions, and cannot be opened before that is done."""
        while row.id in self._open or row.id in self._opening or row.id in self._closing:
            await self._drop(row.id, is_replaced=True)
        failures: list[BaseException] = []

        async def put() -> None:
            try:
                await self._registry.publish(row, loading, also=also)
            except BaseException as failure:
                failures.append(failure)
            finally:
                del self._closing[row.id]

        self._closing[row.id] = asyncio.get_running_loop().create_task(put())
        await asyncio.shield(self._closing[row.id])
        self._failures.pop(row.id, None)
        if failures:
            raise failures[0]

    def find_hidden(self, app_id: str) -> AppRow | None:
        """The row of an app that was deleted and can be restored."""
        row = self._registry.find(AppId(app_id.lower()))
        return row if row is not None and row.deleted_ms is not None else None

    async def set_quotas(self, app_id: str, given: Any) -> Quotas:
        """Set some of an app's own quotas as `quotas.changed`, in force at once; returns all."""
        app = await self.lend(app_id, is_own=True)
        try:
            return await self._whole(app, self._put_quotas(app, given))
        finally:
            self.give_back(app)

    async def set_holder_quotas(
        self, label: Literal["owner", "org"], holder: str, given: Any
    ) -> Quotas:
        """Set some of the quotas of each app of an account or organisation, as `set_quotas`."""
        made = await self._registry.change_holder_quotas(label, holder, given)
        for app in self.in_memory:
            if getattr(app.row, label) == holder and self._open.get(app.id) is app:
                await self._renew_allowed(app)
        return made

    async def _put_quotas(self, app: App, given: Any) -> Quotas:
        made = await self._registry.change_quotas(app.id, given)
        app.row = replace(app.row, quotas=made)
        await self._renew_allowed(app)
        return made

    async def _renew_allowed(self, app: App) -> None:
        """Put in force what was set. The rows of a large app are counted meanwhile, once."""
        app.users += 1  # it stays open
        try:
            app.allowed = self.allowances.of(app.row)
            await app.database.engine.bound(app.allowed.stored)
        finally:
            self.give_back(app)

    async def lend_socket(self, app_id: str) -> App:
        """As `lend`, for a session: it counts as one of the app's sockets until
        `give_back_socket`.

        raises   LimitExceeded("app-quota-exceeded") when the app has as many as it may
        """
        app = await self.lend(app_id)
        most = app.allowed.sockets
        if most is not None and app.sockets >= most:
            self.meters.counts.sockets += 1
            self.give_back(app)
            raise quotas.no_socket(app.allowed, app.sockets, most)
        app.sockets += 1
        return app

    def give_back_socket(self, app: App) -> None:
        """The session is over."""
        app.sockets -= 1
        assert app.sockets >= 0, f"app {app.id} has fewer sessions than none"
        self.give_back(app)

    async def _put_token(self, app: App, token: str, sealed: str | None) -> None:
        await self._registry.set_token(app.id, token, sealed=sealed)
        app.row = replace(app.row, admin_token_hash=hash_token(token), sealed_token=sealed)

    async def _put_title(self, app: App, title: str) -> None:
        await self._registry.set_title(app.id, title)
        app.row = replace(app.row, title=title)

    async def _put_rules(self, app: App, document: Any, rules: Rules, beside: Beside) -> None:
        await self._registry.set_rules(app.id, document, also=beside.steps)
        app.row = replace(app.row, rules=document)
        app.database.set_rules(rules)
        beside.on_done()

    async def _put_settings(self, app: App, change: Callable[[Settings], Settings]) -> Settings:
        settings = await self._registry.change_settings(app.id, change)
        app.row = replace(app.row, settings=settings)
        return settings

    async def _whole(self, app: App, change: Coroutine[Any, Any, T]) -> T:
        """Complete a change of a lent app even if its caller leaves meanwhile, so that what is in
        force is what is on disk."""
        app.users += 1
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        task.add_done_callback(lambda _: self.give_back(app))
        return await asyncio.shield(task)

    async def lend(self, app_id: str, *, is_own: bool = False) -> App:
        """The app, with its database open until `give_back`.

        is_own   for work of the server itself, which is bounded elsewhere: no bound of callers
                 refuses it. What a writer left would be lost because readers are many
        raises   NotFound; LimitExceeded("app-quota-exceeded") when a throw-away app has
                 limits.EPHEMERAL_USERS_MAX users; Unavailable when it cannot be opened
        """
        if self._is_closed:
            raise stopping()
        row = self.get_row(app_id)
        while (app := self._open.get(row.id)) is None:
            await asyncio.shield(self._opening.get(row.id) or self._begin_opening(row))
            row = self.get_row(app_id)  # the app may have been deleted meanwhile
        if app.is_ephemeral:
            if self.has_quotas and not is_own and app.users >= limits.EPHEMERAL_USERS_MAX:
                raise quotas.too_many_users(app.users)
            self._idle_ephemeral.pop(app.id, None)
        app.users += 1
        return app

    def give_back(self, app: App) -> None:
        """The caller of `lend` or `create` does not need the app any more."""
        app.users -= 1
        assert app.users >= 0, f"app {app.id} was given back more often than lent"
        if app.users == 0 and app.unused is not None:
            app.unused.set()
        if app.users == 0 and self._open.get(app.id) is app:
            self._open[app.id] = self._open.pop(app.id)
            self._become_idle(app)

    def _become_idle(self, app: App) -> None:
        app.idle_since_ms = self._runtime.monotonic_ms()
        if app.is_ephemeral:
            self._idle_ephemeral[app.id] = app
            if len(self._idle_ephemeral) > limits.EPHEMERAL_APPS_IDLE_MAX:
                self._close_app(next(iter(self._idle_ephemeral.values())))

    @property
    def files(self) -> int:
        """How many databases have open files, or will have them, or have not closed them yet."""
        return sum(self._files.values())

    async def settled(self) -> None:
        """Wait until nothing is being closed."""
        await asyncio.gather(*self._closing.values(), return_exceptions=True)

    @property
    def in_memory(self) -> list[App]:
        """The apps whose databases are open."""
        return list(self._open.values())

    def forget_unwatched(self) -> None:
        """Free what only live queries need, in apps without live queries."""
        for app in self._open.values():
            app.database.forget_unwatched()

    async def delete(self, app_id: AppId) -> None:
        """End an app: its sessions, its files, its row."""
        # From here on the app cannot be opened. The row is deleted last: by it the next sweep
        # completes a deletion that a stop interrupted.
        await self._registry.end(app_id)
        await self._drop(app_id)
        self._failures.pop(app_id, None)
        self._engines.delete(app_id)
        await self.delete_files(app_id)
        await self._registry.delete(app_id)
        logger.info("app deleted %s", fields(app=app_id))

    async def _drop(self, app_id: AppId, *, is_replaced: bool = False) -> None:
        """End the sessions of an app, and close its database; if another takes its place, once the
        requests that were lent it are answered."""
        while (opening := self._opening.get(app_id)) is not None:
            await asyncio.gather(opening, return_exceptions=True)
        self.on_delete(app_id)
        app = self._open.get(app_id)
        if app is not None:
            self._close_app(app, is_replaced=is_replaced)
        await self._wait_closed(app_id)

    async def close(self) -> None:
        """Finish every accepted write and close all files."""
        self._is_closed = True
        await asyncio.gather(*self._opening.values(), *self._changes, return_exceptions=True)
        for app in list(self._open.values()):
            self._close_app(app)
        await self.settled()
        self._compiler.close()
        await self._registry.close()

    def _begin_opening(self, row: AppRow) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._open_database(row))
        self._opening[row.id] = task
        return task

    async def _open_database(self, row: AppRow) -> None:
        try:
            await self._wait_closed(row.id)
            is_ephemeral = row.expires_ms is not None
            await self._take_files(is_ephemeral=is_ephemeral)
            try:
                rules = await self._compiler.load(row.rules, is_open=row.is_open)
                allowed = self.allowances.of(row)
                database = await self._database(row, rules, allowed)
            except BaseException as failure:
                self._files[is_ephemeral] -= 1
                self._tell_failure(row.id, failure)
                raise
            self._failures.pop(row.id, None)
            app = self._open[row.id] = App(row, database, allowed, self.meters.of(row.id))
            self._become_idle(app)
            if self.allowances.of(row) != allowed:  # it was changed meanwhile
                await self._renew_allowed(app)
        finally:
            # Here and not in a callback: a caller that finds the task done, and the app closed
            # again, would wait for it again and never let the callback run.
            del self._opening[row.id]

    def _tell_failure(self, app_id: AppId, failure: BaseException) -> None:
        """Log why an app cannot be opened, once: its clients will ask again and again."""
        if isinstance(failure, Unavailable) and self._failures.get(app_id) != failure.message:
            if len(self._failures) >= limits.APP_FAILURES_TOLD_MAX:
                self._failures.clear()
            self._failures[app_id] = failure.message
            told = fields(app=app_id, file=self._engines.place(app_id), reason=failure.message)
            logger.error("app not opened %s", told)

    async def _database(
        self,
        row: AppRow,
        rules: Rules,
        allowed: Allowed,
        *,
        schema: Any = None,
        is_new: bool = False,
    ) -> Database:
        url_of = None if self.url_of is None else partial(self.url_of, row.id)
        share = self.loop_shares.make()
        database = await Database.open(
            partial(
                self._engines.open,
                row.id,
                is_new=is_new,
                quota=allowed.stored,
                share=share,
            ),
            runtime=self._runtime,
            rules=rules,
            app_id=row.id,
            buckets=self.buckets,
            slow_log=self._slow_log,
            schema=schema,
            url_of=url_of,
            share=share,
        )
        for listener in self.commit_listeners:
            database.on_commits(partial(listener, row.id))
        return database

    async def _take_files(self, *, is_ephemeral: bool) -> None:
        """Wait until one more database may be opened, and count it.

        Beyond limits.APPS_OPEN_MAX unused databases are closed; those in use stay. `files_max` is
        never exceeded. Throw-away apps may have half of that, and limits.EPHEMERAL_APPS_OPEN_MAX,
        so that many of them cannot keep lasting apps from being opened.

        raises   Unavailable("overloaded") when all databases are in use
        """
        surplus = len(self._open) - limits.APPS_OPEN_MAX + 1
        for app in [app for app in self._open.values() if app.users == 0][: max(surplus, 0)]:
            self._close_app(app)
        while (is_full := self._has_no_files()) or (
            is_ephemeral and self._has_no_files(is_ephemeral=True)
        ):
            idle = self._open if is_full else self._idle_ephemeral
            unused = next((app for app in idle.values() if app.users == 0), None)
            if unused is not None:
                self._close_app(unused)
            elif not self._closing:
                raise Unavailable("overloaded", "Too many apps are in use at once. Try later.")
            await asyncio.wait(self._closing.values(), return_when=asyncio.FIRST_COMPLETED)
        self._files[is_ephemeral] += 1

    def _has_no_files(self, *, is_ephemeral: bool = False) -> bool:
        """Whether no other database, or no other one of a throw-away app, may be opened."""
        most = self._files_max
        if not is_ephemeral:
            return most is not None and self.files >= most
        ephemeral = self._files[True]
        return (most is not None and ephemeral >= most // 2) or (
            self.has_quotas and ephemeral >= limits.EPHEMERAL_APPS_OPEN_MAX
        )

    def _close_app(self, app: App, *, is_replaced: bool = False) -> None:
        """Begin to close an app. `_open_database` of the same app waits until that is done, as two
        writers on one file would give the same transaction ids."""
        self.counts_of_closed.add(app.database.counts)
        del self._open[app.id]
        self._idle_ephemeral.pop(app.id, None)
        self._closing[app.id] = asyncio.get_running_loop().create_task(
            self._close_database(app, is_replaced=is_replaced)
        )

    async def _close_database(self, app: App, *, is_replaced: bool) -> None:
        try:
            if is_replaced and app.users:
                app.unused = asyncio.Event()
                with suppress(TimeoutError):
                    async with asyncio.timeout(archive_limits.REPLACED_APP_WAIT_MS / 1_000):
                        await app.unused.wait()
            await app.database.close()
        except Exception:
            logger.exception("app not closed %s", fields(app=app.id))
        finally:
            del self._closing[app.id]
            self._files[app.is_ephemeral] -= 1

    async def _wait_closed(self, app_id: AppId) -> None:
        task = self._closing.get(app_id)
        if task is not None:
            await asyncio.shield(task)

    def close_old(self) -> None:
        """Close databases that were unused for a while; those of throw-away apps sooner."""
        self.meters.forget(self._open.__contains__)
        now_ms = self._runtime.monotonic_ms()
        for app in list(self._open.values()):
            most_ms = limits.EPHEMERAL_APP_IDLE_MS if app.is_ephemeral else limits.APP_IDLE_MS
            if app.users == 0 and now_ms - app.idle_since_ms >= most_ms:
                self._close_app(app)

    async def delete_expired(self) -> None:
        """Delete expired apps. One that cannot be deleted stays until the next sweep."""
        for app_id in await self._registry.expired(self._runtime.now_ms()):
            try:
                await self.delete(app_id)
            except Exception:
                logger.exception("expired app not deleted %s", fields(app=app_id))


async def _nothing(app_id: AppId) -> None:
    """Apps that keep no files have none to delete."""
