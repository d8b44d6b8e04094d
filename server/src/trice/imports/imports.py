"""Imports of archives into a running server: made, uploaded in pieces, run one after the other.

A process of its own reads the archive and fills storage out of sight (`process`); this server then
closes the app that is replaced, if there is one, moves the file to its place and lists the app, in
one step for whoever asks. What a kill of the process or of the server leaves goes on at the next
start, where the storage that was filled kept it.

source   spec/archive.md AR120-AR139
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from trice import import_limits
from trice.accounts.accounts import Accounts
from trice.accounts.orgs import Orgs, check_role
from trice.apps.apps import Apps
from trice.archive.fill import whole
from trice.archive.load import Filled, check_place, publish_archive
from trice.background import Background
from trice.errors import Conflict, LimitExceeded, TriceError, Unavailable, no_record
from trice.imports.filled import check_quotas
from trice.imports.process import Died, Refused, Task, Told, run_process
from trice.imports.records import Import, Records, Status, Wishes
from trice.log import fields
from trice.protocol.ids import AppId, TxId
from trice.runtime import Runtime, new_uuid
from trice.webhooks.webhook import Webhook
from trice.webhooks.webhooks import Webhooks

logger: Final = logging.getLogger("trice.imports")


class Imports:
    """Holds all imports that are unfinished, or told of. `records` are what lasts. `on_publish` is
    called for each app that was put in place; whoever follows apps sets it.

    The ids of apps that are being imported are taken: nobody else can make an app with one.
    """

    def __init__(
        self,
        data_dir: Path,
        apps: Apps,
        webhooks: Webhooks,
        *,
        accounts: Accounts,
        orgs: Orgs,
        command: Sequence[str],
        runtime: Runtime,
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        """
        command      what starts the process of an import
        free_bytes   what the disk has left
        """
        self._data_dir = data_dir
        self._apps = apps
        self._webhooks = webhooks
        self._accounts = accounts
        self._orgs = orgs
        self.command = command
        self._runtime = runtime
        self.free_bytes = free_bytes or (lambda: shutil.disk_usage(data_dir).free)
        self._records = Records(data_dir / "imports")
        self._all: dict[str, Import] = {each.id: each for each in self._records.load()}
        self.on_publish: Callable[[AppId], None] = lambda app_id: None
        self._locks: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._background: Background | None = None
        for made in self._all.values():
            self._take_up(made)

    def _take_up(self, made: Import) -> None:
        """Go on with an import of an earlier process of the server."""
        if made.status == "publishing" and not self._apps.is_loading(AppId(made.app_id)):
            made.status, made.done_ms = "completed", made.updated_ms
            self._records.save(made)
        elif made.status in ("processing", "publishing"):
            made.status = "waiting"
        if made.is_unfinished and not made.replaces:
            try:
                self._apps.take_id(AppId(made.app_id))
            except Conflict as failure:
                made.status, made.error = "errored", failure.message

    def start(self, background: Background) -> None:
        """Begin to run imports that wait, and to sweep."""
        background.every("imports-sweep", import_limits.SWEEP_INTERVAL_MS, lambda _: self.sweep())
        self.run_in(background)

    def run_in(self, background: Background) -> None:
        """Run imports that wait, one after the other."""
        self._background = background
        self._run_next()

    def is_running(self, made: Import) -> bool:
        """Whether there is a process for an import, or what it did is being published."""
        return made.id in self._running

    # --- what callers ask -----------------------------------------------------------------------

    def all_of(self, caller: str | None) -> list[Import]:
        """The imports of an account, or of the operator, newest first."""
        return [each for each in reversed(self._all.values()) if each.caller == caller]

    def get(self, id: str, caller: str | None) -> Import:
        """One import of a caller; raises NotFound."""
        found = self._all.get(id)
        if found is None or found.caller != caller:
            raise no_record(
                "restore-job", "You have no import with this id, or no more.", {"id": id}
            )
        return found

    async def create(
        self,
        *,
        caller: str | None,
        owner: str | None,
        org: str | None,
        app_id: str | None,
        name: str,
        identity: str,
        length: int,
        wishes: Wishes,
        path: str | None = None,
    ) -> Import:
        """Make an import whose archive comes next, or return the unfinished one that the caller
        made of the same archive in the same way.

        path     the archive is there, on this machine
        raises   InvalidInput for an app that exists, or cannot be replaced; PermissionDenied, as
                 `check_caller`; Conflict, LimitExceeded, Unavailable("overloaded") without room
        """
        for each in self.all_of(caller):
            is_same = (
                *(each.identity, each.length, each.wishes, each.owner, each.org, each.path),
            ) == (identity, length, wishes, owner, org, path)
            if each.is_unfinished and is_same and app_id in (None, each.app_id):
                return each
        if app_id is None or self._apps.find_row(AppId(app_id)) is None:
            await self._check_holder(owner, org, self._promised(owner, org))
        self._check_room(caller, length if path is None else 0)
        chosen = AppId(new_uuid(self._runtime) if app_id is None else app_id)
        if any(each.is_unfinished and each.app_id == chosen for each in self._all.values()):
            raise _is_imported(chosen)
        check_place(name, chosen, self._apps.find_row(chosen), replaces=wishes.replaces)
        now_ms = self._runtime.now_ms()
        made = Import(
            *(new_uuid(self._runtime), caller, owner, org, chosen, name, identity, length),
            *(wishes, now_ms, now_ms),
            replaces=self._apps.find_row(chosen) is not None,
            path=path,
            offset=0 if path is None else length,
        )
        if not made.replaces:
            self._apps.take_id(chosen)
        self._all[made.id] = made
        await self._save(made)
        return made

    async def append(self, made: Import, offset: int, pieces: AsyncIterator[bytes]) -> None:
        """Add bytes to an upload. What came before a failure counts too.

        raises   Conflict when they belong elsewhere, or others are being added; LimitExceeded past
                 the length; Unavailable("overloaded") when the disk is full
        """
        if made.status != "uploading" or made.path is not None or made.id in self._locks:
            raise _conflict(f"The import is {made.status}, and takes no bytes now.", made)
        if offset != made.offset:
            raise _conflict(f"The next byte is that at {made.offset:,}.", made)
        self._locks.add(made.id)
        at = offset
        collected: list[bytes] = []
        size = 0
        try:
            try:
                async for piece in pieces:
                    if at + size + len(piece) > made.length:
                        raise _too_long(made)
                    collected.append(piece)
                    size += len(piece)
                    if size >= import_limits.WRITE_BYTES:
                        at = await asyncio.to_thread(self._records.write, made, at, collected)
                        collected, size = [], 0
            finally:
                if made.id in self._all and at + size > offset:
                    made.updated_ms = self._runtime.now_ms()
                    # Others may add bytes only after that, whatever becomes of this request.
                    await whole(asyncio.to_thread(self._records.keep, made, at, collected))
        except OSError as cause:
            raise Unavailable("overloaded", "The server's disk does not accept data.") from cause
        finally:
            self._locks.discard(made.id)

    async def begin(self, made: Import, *, token_hash: str | None, sealed: str | None) -> None:
        """Let an import that is uploaded wait for its turn. One that was begun stays as it is.

        token_hash, sealed   as in `Import`
        raises   Conflict when bytes are missing; as `check_caller`
        """
        if made.status != "uploading":
            return
        self.check_caller(made)
        if made.offset != made.length or made.id in self._locks:
            raise _conflict(f"Of its bytes {made.length - made.offset:,} are missing.", made)
        made.token_hash, made.sealed = token_hash, sealed
        made.status = "waiting"
        await self._save(made)
        self._run_next()

    async def cancel(self, made: Import) -> None:
        """End an import, and leave nothing of it; forget one that has ended.

        raises   Conflict while the app is put in its place
        """
        if made.status == "publishing" or made.id in self._locks:
            raise _conflict("It is at a step that cannot be undone. Try again in a moment.", made)
        if not made.is_unfinished:
            del self._all[made.id]
            await asyncio.to_thread(self._records.forget, made)
            return
        running = self._running.get(made.id)
        made.status = "cancelled"
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        else:
            await self._discard(made)
        await self._end(made, "cancelled", None)

    async def sweep(self) -> None:
        """Delete uploads that rest, and forget what was told long enough."""
        now_ms = self._runtime.now_ms()
        for made in list(self._all.values()):
            rests_ms = now_ms - made.updated_ms
            is_resting = made.status == "uploading" and rests_ms > import_limits.UPLOAD_MS
            if is_resting and made.id not in self._locks:
                await self.cancel(made)
            elif not made.is_unfinished and rests_ms > import_limits.TOLD_MS:
                del self._all[made.id]
                await asyncio.to_thread(self._records.forget, made)

    # --- bounds ---------------------------------------------------------------------------------

    def _check_room(self, caller: str | None, length: int) -> None:
        unfinished = [each for each in self._all.values() if each.is_unfinished]
        mine = [each for each in unfinished if each.caller == caller]
        if len(unfinished) >= import_limits.UNFINISHED_MAX:
            raise Unavailable("overloaded", "Too many imports are unfinished. Try again later.")
        if caller is not None and len(mine) >= import_limits.UNFINISHED_OF_CALLER_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"You have {len(mine)} unfinished imports, which are the most. Finish or delete"
                " one: DELETE /dash/restore-jobs/ID.",
            )
        if length > import_limits.ARCHIVE_BYTES_MAX:
            raise LimitExceeded(
                "message-too-big",
                f"The archive has {length:,} bytes; {import_limits.ARCHIVE_BYTES_MAX:,} are the"
                " most.",
                {"bytes": length, "bytes-max": import_limits.ARCHIVE_BYTES_MAX},
            )
        promised = sum(each.length - each.offset for each in unfinished)
        left = self.free_bytes() - promised - import_limits.DISK_RESERVE_BYTES
        if length > left:
            raise Unavailable(
                "overloaded",
                f"The archive has {length:,} bytes, and the server's disk has {max(left, 0):,} left"
                " for it.",
            )

    def check_caller(self, made: Import) -> None:
        """Refuse an account that may not, or may not any more, make the app or replace it.

        raises   NotFound for an account or app that is gone; InvalidInput, PermissionDenied for a
                 role that is too weak
        """
        row = self._apps.find_row(AppId(made.app_id))
        if made.replaces and row is None:
            raise no_record("app", "The app that was to be replaced is gone.")
        if made.caller is None:
            return
        account = self._accounts.find(made.caller)
        if account is None:
            raise no_record("instant-user", "The account that made this import was removed.")
        if row is not None:
            check_role(self._orgs.role_in(row, account), "admin")
        if made.org is not None:
            check_role(self._orgs.find_role(made.org, account), "admin")

    def _promised(self, owner: str | None, org: str | None) -> int:
        """How many apps an account or organisation gets by imports that are unfinished."""
        return sum(
            each.is_unfinished and not each.replaces and (each.owner, each.org) == (owner, org)
            for each in self._all.values()
        )

    async def _check_holder(self, owner: str | None, org: str | None, promised: int) -> None:
        """Refuse an app more than an account or organisation may have."""
        if owner is not None or org is not None:
            await self._apps.check_room(owner=owner, org=org, promised=promised)

    # --- running --------------------------------------------------------------------------------

    def _run_next(self) -> None:
        background = self._background
        if background is None or background.is_stopped:
            return
        for made in list(self._all.values()):
            if len(self._running) >= import_limits.RUNNING_MAX:
                break
            if made.status == "waiting" and made.id not in self._running:
                task = background.begin(self._run(made))
                self._running[made.id] = task
                task.add_done_callback(lambda _, id=made.id: self._ran(id))  # type: ignore[misc]

    def _ran(self, id: str) -> None:
        del self._running[id]
        self._run_next()

    async def _run(self, made: Import) -> None:
        made.status = "processing"
        logger.info("import began %s", fields(id=made.id, app=made.app_id, bytes=made.length))
        try:
            await self._save(made)
            filled = await self._fill(made)
            await self._publish(made, filled)
        except asyncio.CancelledError:
            if self._is_cancelled(made):
                await self._discard(made)
            raise
        except (Refused, Died) as failure:
            await self._fail(made, str(failure))
        except TriceError as failure:
            await self._fail(made, failure.message)
        except OSError as failure:
            await self._fail(made, f"The server's disk: {failure.strerror or failure}.")
        except Exception:
            logger.exception("import failed %s", fields(id=made.id))
            await self._fail(made, "The server failed; its log says why.")
        else:
            await self._end(made, "completed", None)

    async def _fill(self, made: Import) -> Filled:
        """Let a process fill the app; try again if it dies without a word."""
        app_id = AppId(made.app_id)
        row = self._apps.find_row(app_id)
        check_place(made.name, app_id, row, replaces=made.wishes.replaces)
        token_hash = bytes.fromhex(made.token_hash) if made.token_hash is not None else None
        if token_hash is None:
            if row is None:
                raise no_record("app", "The app that was to be replaced is gone.")
            token_hash = row.admin_token_hash
        task = Task(
            str(self._records.archive(made).absolute()),
            *(made.name, made.app_id, made.wishes, token_hash),
            None if row is None else await self._last_tx(app_id),
        )

        def hear(told: Told) -> None:
            made.read = told.read or made.read
            made.indexed = told.indexed or made.indexed

        for left in reversed(range(import_limits.TRIES_MAX)):
            try:
                done = await run_process(
                    self.command, task, data_dir=str(self._data_dir), on_told=hear
                )
                break
            except Died as failure:
                logger.warning("import died %s", fields(id=made.id, reason=str(failure)))
                if not left:
                    raise
                await self._runtime.sleep_ms(import_limits.RETRY_MS)
        webhooks = [Webhook.load(id, app_id, text) for id, text in done.webhooks]
        loading = await asyncio.to_thread(self._apps.open_loading, app_id)
        return Filled(done.row, done.report, webhooks, TxId(done.tx_before), loading)

    async def _last_tx(self, app_id: AppId) -> TxId | None:
        """The last transaction of an app; None: it cannot be opened."""
        try:
            app = await self._apps.lend(app_id, is_own=True)
        except Unavailable:
            return None
        try:
            return app.database.tx
        finally:
            self._apps.give_back(app)

    async def _publish(self, made: Import, filled: Filled) -> None:
        app_id = AppId(made.app_id)
        row = replace(filled.row, owner=made.owner, org=made.org, sealed_token=made.sealed)
        replaced = self._apps.find_row(app_id)
        try:
            check_place(made.name, app_id, replaced, replaces=made.wishes.replaces)
            self.check_caller(made)
            if made.caller is not None:
                if replaced is None:
                    await self._check_holder(made.owner, made.org, 0)
                await check_quotas(self._apps.allowances.of(replaced or row), filled)
        except BaseException:
            filled.loading.discard()
            raise
        made.status, made.report = "publishing", msgspec.to_builtins(filled.report)
        await self._save(made)
        filled = replace(filled, row=row)
        platform, put = self._apps.platform, self._apps.put_loaded
        await publish_archive(filled, platform, put, runtime=self._runtime)
        made.report = msgspec.to_builtins(filled.report)
        self._apps.give_id_back(app_id)
        self.on_publish(app_id)
        await self._webhooks.load_imported(app_id)
        logger.info("imported %s", fields(id=made.id, app=app_id))

    def _is_cancelled(self, made: Import) -> bool:
        return made.status == "cancelled"

    async def _fail(self, made: Import, problem: str) -> None:
        logger.info("import refused %s", fields(id=made.id, reason=problem))
        made.report = None
        await self._discard(made)
        await self._end(made, "errored", problem)

    async def _discard(self, made: Import) -> None:
        """Remove what was filled in."""
        app_id = AppId(made.app_id)
        try:
            loading = await asyncio.to_thread(self._apps.open_loading, app_id)
            is_gone = await asyncio.to_thread(loading.discard)
            if is_gone and self._apps.find_row(app_id) is None:
                await self._apps.delete_files(app_id)
        except (TriceError, OSError) as failure:
            logger.warning(
                "the rest of an import stays %s", fields(id=made.id, reason=str(failure))
            )

    async def _end(self, made: Import, status: Status, problem: str | None) -> None:
        made.status, made.error = status, problem
        made.updated_ms = made.done_ms = self._runtime.now_ms()
        made.wishes = msgspec.structs.replace(made.wishes, attrs=[])
        self._apps.give_id_back(AppId(made.app_id))
        told = [each for each in self._all.values() if not each.is_unfinished]
        old = told[: -import_limits.TOLD_MAX]
        for each in old:
            del self._all[each.id]
        await asyncio.to_thread(self._write_end, made, old)

    def _write_end(self, made: Import, old: Sequence[Import]) -> None:
        try:
            self._records.forget_bytes(made)
            self._records.save(made)
            for each in old:
                self._records.forget(each)
        except OSError as failure:  # the next start finds the import unfinished, and ends it again
            logger.warning("an import was not noted %s", fields(id=made.id, reason=str(failure)))

    async def _save(self, made: Import) -> None:
        try:
            await asyncio.to_thread(self._records.save, made)
        except OSError as cause:
            raise Unavailable("overloaded", "The server's disk does not accept data.") from cause


def _is_imported(app_id: str) -> Conflict:
    told = "This app is being imported already. Try again when that has ended."
    return Conflict("record-not-unique", told, {"record-type": "app", "value": app_id})


def _conflict(problem: str, made: Import) -> Conflict:
    return Conflict(
        "record-not-unique", problem, {"record-type": "restore-job", "offset": made.offset}
    )


def _too_long(made: Import) -> LimitExceeded:
    return LimitExceeded(
        "message-too-big",
        f"The archive has {made.length:,} bytes, as was said; there are more.",
        {"bytes-max": made.length},
    )
