"""Uploads that come in parts: made, added to, and stored as files when they are whole.

    create ──> part, part, … ──> whole ──> stored: the row is there ──> forgotten after a while
       └─ expired, deleted, or refused at the end: forgotten at once

An upload that is whole and could not be stored, because a bucket was not reached or the server was
stopped, is stored by whoever asks for its offset next. A client that hears that all bytes are there
can rely on the row.

source   https://tus.io/protocols/resumable-upload 1.0.0; spec/files.md F130-F149
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from trice import file_limits as limits
from trice.apps.apps import App
from trice.errors import Conflict, NotFound, TriceError
from trice.files.files import Check, Files
from trice.files.partials import Partial, Partials
from trice.files.rows import check_id, check_path
from trice.identity import Identity
from trice.protocol.errors import CODES
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_uuid


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one part are to have. hash   of hashlib, fed with nothing yet"""

    hash: Any
    digest: bytes


class ResumableUploads:
    """The uploads in parts of one server. Holds nothing: `Partials` does, and `Files` the rest."""

    def __init__(self, files: Files, *, runtime: Runtime) -> None:
        self.bytes_max = files.file_bytes_max
        self._files = files
        self._partials: Partials = files.partials
        self._runtime = runtime

    async def create(
        self,
        app: App,
        path: str,
        *,
        identity: Identity,
        network: str,
        length: int,
        metadata: str,
        content_type: str | None,
        disposition: str | None,
        wanted_id: str | None = None,
        check: Check,
    ) -> Partial:
        """Begin an upload of `length` bytes to a path.

        wanted_id   the id that the row shall have, if the path has no file when it is stored
        raises      what `check` does; as `Files.upload`; Unavailable: too many are unfinished
        """
        check_path(path)
        self._files.check_size(app, length)
        partial = Partial(
            id=new_uuid(self._runtime),
            app_id=app.id,
            owner=identity.name,
            network=network,
            path=path,
            length=length,
            metadata=metadata,
            content_type=content_type,
            disposition=disposition,
            wanted_id=wanted_id,
            ends_ms=self._runtime.now_ms() + limits.PARTIAL_MS,
        )
        await app.database.look(lambda look: check(look, path))
        await app.database.look(lambda look: check_id(look, wanted_id, path=path))
        await self._files.check_room(app, path, length)
        self._partials.take(partial)  # in the turn of the loop in which room was found
        try:
            await self._partials.make(partial)
        except BaseException:
            await self._partials.remove(partial)
            raise
        return partial

    def find_app(self, id: str) -> AppId:
        """The app of an upload; raises NotFound("upload-not-found")."""
        return self._get(id).app_id

    def get(self, id: str, app: App, identity: Identity) -> Partial:
        """An upload that this caller made; raises NotFound("upload-not-found")."""
        partial = self._get(id)
        if partial.app_id != app.id or partial.owner != identity.name:
            raise _unknown()
        return partial

    async def settle(self, app: App, partial: Partial, *, network: str, check: Check) -> None:
        """Make its offset one that holds, for a caller who is about to go on. What is whole is
        stored.

        raises   as `remove`, else as `append`
        """
        async with self._taken_over(partial):
            if partial.offset == partial.length and not partial.is_stored:
                with self._files.under_way(network):
                    await self._store(app, partial, check)

    async def append(
        self,
        app: App,
        partial: Partial,
        offset: int,
        pieces: AsyncIterator[bytes],
        *,
        network: str,
        checksum: Checksum | None,
        check: Check,
    ) -> None:
        """Add the bytes that come; store the file if it is whole then.

        network   of the caller, among whose uploads it counts
        raises    Conflict: the upload is not at `offset`; another request adds to it, or asks for
                  its offset meanwhile; the checksum differs. LimitExceeded: more bytes than its
                  length. What `pieces` raises. What came until then is kept, except without the
                  right checksum. At the end as `Files.upload`: what is refused then is forgotten
        """
        async with self._locked(partial):
            if offset != partial.offset:
                raise Conflict(
                    "upload-offset-wrong",
                    f"The upload has {partial.offset:,} bytes, and the part begins at {offset:,}.",
                    {"offset": partial.offset},
                )
            if partial.is_stored:
                return
            with self._files.under_way(network):
                await self._add(partial, pieces, checksum)
                if partial.offset == partial.length:
                    await self._store(app, partial, check)

    async def remove(self, partial: Partial) -> None:
        """Forget an upload; a file that was stored stays.

        raises   Conflict("upload-busy"): it is being stored
        """
        async with self._taken_over(partial):
            await self._partials.remove(partial)

    def _get(self, id: str) -> Partial:
        partial = self._partials.find(id)
        if partial is None:
            raise _unknown()
        return partial

    @asynccontextmanager
    async def _locked(self, partial: Partial) -> AsyncIterator[None]:
        if partial.lock.locked():
            raise _busy()
        async with partial.lock:
            self._get(partial.id)  # it may have been deleted in this turn of the loop
            yield

    @asynccontextmanager
    async def _taken_over(self, partial: Partial) -> AsyncIterator[None]:
        """Hold the lock. A request that still adds bytes ends, and keeps what came: it is on a
        connection that the client lost or left. One that stores them is waited for."""
        if partial.interruption is not None:
            partial.interruption.reschedule(asyncio.get_running_loop().time())
            partial.interruption = None  # it ends once
        try:
            async with asyncio.timeout(limits.PARTIAL_WAIT_MS / 1000):
                await partial.lock.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            self._get(partial.id)  # it may have been deleted meanwhile
            yield
        finally:
            partial.lock.release()

    async def _add(
        self, partial: Partial, pieces: AsyncIterator[bytes], checksum: Checksum | None
    ) -> None:
        hash = None if checksum is None else checksum.hash
        async with await self._partials.open(partial, hash) as writing:
            try:
                async with _interruptible(partial):
                    async for piece in pieces:
                        if piece:
                            self._files.counts.received_bytes += len(piece)
                            await writing.write(piece)
            except Exception:
                if checksum is None:
                    await writing.keep()
                raise
            await writing.flush()
            if checksum is not None and not hmac.compare_digest(
                checksum.hash.digest(), checksum.digest
            ):
                raise Conflict("checksum-wrong", "The bytes differ from their checksum; try again.")
            await writing.keep()

    async def _store(self, app: App, partial: Partial, check: Check) -> None:
        try:
            stored = await self._files.store(
                app,
                await self._partials.spooled(partial, self._files.spool),
                partial.path,
                content_type=partial.content_type,
                disposition=partial.disposition,
                wanted_id=partial.wanted_id,
                check=check,
                is_reserved=True,
            )
        except TriceError as failure:
            if not CODES[failure.code].may_retry:
                await self._partials.remove(partial)
            raise
        await self._partials.note_stored(
            partial, file_id=stored.id, location_id=stored.location_id, tx=stored.tx
        )


@asynccontextmanager
async def _interruptible(partial: Partial) -> AsyncIterator[None]:
    """Let other requests end this block, with Conflict("upload-busy")."""
    try:
        async with asyncio.timeout(None) as partial.interruption:
            yield
    except TimeoutError:
        raise Conflict(
            "upload-busy", "Another request came for this upload, so this part ended."
        ) from None
    finally:
        partial.interruption = None


def _unknown() -> NotFound:
    return NotFound(
        "upload-not-found",
        "No such upload is under way for this caller: it has expired, was deleted, or was begun by"
        " another one. Begin a new one.",
    )


def _busy() -> Conflict:
    return Conflict("upload-busy", "Another request is at work on this upload; try again.")
