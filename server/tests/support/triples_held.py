"""Snapshots of the second engine that last, with changes that only their owner sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from support.triples_image import STEPS_PER_LOOK, Image, Open
from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import TxId
from trice.store.commit import Commit
from trice.store.engine import ReadTooLong, Snapshot, WorkTooLong, WriteTx

T = TypeVar("T")
Work = Callable[[WriteTx], Commit]


class Holder(Protocol):
    """The engine, as far as a snapshot must know it."""

    @property
    def tx(self) -> TxId: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def latest_ms(self) -> int: ...

    def now_ms(self) -> int: ...

    def released(self, held: TriplesHeld) -> None: ...


class TriplesHeld:
    """See `store.engine.Held`: a copy of its own, which it may change."""

    def __init__(self, engine: Holder, image: Image, *, lasts_ms: int) -> None:
        self.tx, self.catalog = engine.tx, engine.catalog
        self.time_ms = engine.latest_ms
        self._engine, self._image = engine, image
        self._now_ms = engine.now_ms
        self._marked: list[Catalog] = []
        self.is_open = True
        self._is_used = False
        self._steps_left = 0
        self._timer = asyncio.get_running_loop().call_later(lasts_ms / 1000, self.close)

    async def read(self, work: Callable[[Snapshot], T], *, turn_key: TurnKey = SERVER) -> T:
        self._check_usable()
        self._steps_left = limits.READ_STEPS_ON_LOOP
        self._image.interrupt_when(self._is_too_long, steps=STEPS_PER_LOOK)
        self._image.judging.steps_left = limits.JUDGED_STEPS_ON_LOOP
        self._image.judging.is_over = None
        try:
            return work(
                Open(self._image, self.tx, self.catalog, spend=self._spend, is_on_loop=True)
            )
        except ReadTooLong:
            pass
        finally:
            self._image.interrupt_when(None)

        def check_open(_: int) -> None:
            if not self.is_open:
                raise ReadTooLong

        def run() -> T:
            self._image.interrupt_when(lambda: not self.is_open, steps=STEPS_PER_LOOK)
            try:
                return work(Open(self._image, self.tx, self.catalog, spend=check_open))
            finally:
                self._image.interrupt_when(None)

        return await self._on_thread(run)

    async def write(self, work: Work, *, is_long: bool = False) -> Commit:
        self._check_usable()

        def run(*, may_take_long: bool) -> Commit:
            execute = self._image.file.execute
            execute("SAVEPOINT work")
            time_ms = max(self.time_ms, self._now_ms())
            tx = Open(
                self._image,
                TxId(self.tx + 1),
                self.catalog,
                time_ms=time_ms,
                may_take_long=may_take_long,
            )
            try:
                commit = work(tx)
            except BaseException:
                execute("ROLLBACK TO work; RELEASE work")
                raise
            execute("RELEASE work")
            return commit

        try:
            if is_long:
                raise WorkTooLong
            commit = run(may_take_long=False)
        except WorkTooLong:
            commit = await self._on_thread(lambda: run(may_take_long=True))
        self.catalog = commit.catalog
        return commit

    def mark(self) -> int:
        self._check_usable()
        number = len(self._marked)
        self._image.file.execute(f"SAVEPOINT mark{number}")
        self._marked.append(self.catalog)
        return number

    def undo(self, mark: int) -> None:
        self._check_usable()
        self._image.file.execute(f"ROLLBACK TO mark{mark}; RELEASE mark{mark}")
        self.catalog = self._marked[mark]
        del self._marked[mark:]

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._timer.cancel()
            if not self._is_used:
                self._release()

    async def _on_thread(self, run: Callable[[], T]) -> T:
        self._is_used = True
        future = asyncio.get_running_loop().run_in_executor(None, run)
        future.add_done_callback(self._come_back)
        try:
            return await asyncio.shield(future)
        except ReadTooLong as error:
            raise Unavailable("timeout", "It took too long.") from error
        except asyncio.CancelledError:
            self.close()
            raise

    def _come_back(self, future: asyncio.Future[Any]) -> None:
        self._is_used = False
        if not future.cancelled():
            future.exception()
        if not self.is_open:
            self._release()

    def _release(self) -> None:
        self._image.close()
        self._engine.released(self)

    def _check_usable(self) -> None:
        assert not self._is_used
        if not self.is_open:
            raise Unavailable("timeout", "It is closed.")

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ReadTooLong

    def _is_too_long(self) -> bool:
        self._steps_left -= STEPS_PER_LOOK
        return self._steps_left < 0
