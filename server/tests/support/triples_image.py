"""What the second engine reads and writes: databases in memory, their snapshots, open writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import apsw
import orjson

from support.triples_dialect import TRIPLES
from support.triples_rows import TriplesAttrs, TriplesRows
from trice import function_limits
from trice.catalog.catalog import Catalog
from trice.protocol.ids import EventId, TxId
from trice.store.commit import Commit, LoggedChanges
from trice.store.dialect import Dialect
from trice.store.engine import Binding, ReadTooLong, Row, Take
from trice.store.judging import JudgedApart
from trice.store.results import KeptResult
from trice.store.sqlite import functions

STEPS_PER_LOOK = 1_000
"""Instructions of SQLite after which a read is asked whether to stop."""


class Image:
    """A database in memory, empty or a copy (`readers.Reader`). Its statements can be stopped."""

    dialect: Dialect = TRIPLES

    def __init__(self, image: Callable[[], bytes] | None = None) -> None:
        """
        image   what `begin_snapshot` copies
        """
        self.file = apsw.Connection(":memory:")
        self.judging = functions.register(self.file)
        self._image = image
        self._copied: bytes | None = None

    def begin_snapshot(self) -> None:
        assert self._image is not None
        if self._copied is not self._image():
            self._copied = self._image()
            self.file.deserialize("main", self._copied)

    def rollback(self) -> None:
        """A copy has no transaction."""

    def close(self) -> None:
        self.judging.is_over = functions.never
        self.file.close()

    def interrupt_when(self, is_over: Callable[[], bool] | None, *, steps: int = 0) -> None:
        self.file.set_progress_handler(is_over, steps)
        self.judging.is_over = is_over or functions.never

    def snapshot(self, tx: TxId, catalog: Catalog, spend: Callable[[int], None]) -> Open:
        return Open(self, tx, catalog, spend=spend)

    def rows(
        self, sql: str, bindings: Sequence[Binding] = (), take: Take | None = None
    ) -> list[Row]:
        found: list[Row] = []
        for piece in self.pieces(sql, bindings, rows_max=take.rows_first if take else 1_000):
            if take is not None:
                take(piece)
            found += piece
        return found

    def pieces(
        self, sql: str, bindings: Sequence[Binding] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        bound = [
            orjson.dumps([one.hex() for one in value]).decode()
            if isinstance(value, tuple)
            else value
            for value in bindings
        ]
        cursor = self.file.cursor()
        try:
            reading = cursor.execute(sql, bound)
            while piece := list(islice(reading, rows_max)):
                yield piece
        except apsw.InterruptError as error:
            raise ReadTooLong from error
        finally:
            cursor.close(True)


class Open:
    """A snapshot or an open write while its work runs (`engine.Snapshot`, `engine.WriteTx`)."""

    dialect: Dialect = TRIPLES

    def __init__(
        self,
        image: Image,
        tx: TxId,
        catalog: Catalog,
        *,
        spend: Callable[[int], None] = lambda _: None,
        is_on_loop: bool = False,
        time_ms: int = 0,
        may_take_long: bool = False,
        earlier: Sequence[Commit] = (),
    ) -> None:
        self.tx = tx
        self.earlier = earlier
        self.results = TriplesResults(image.file)
        self.catalog = catalog
        self.time_ms = time_ms
        self.may_take_long = may_take_long
        self.spend = spend
        self.stored = TriplesRows(image.file)
        self.attrs = TriplesAttrs(image.file, time_ms)
        judged = JudgedApart(_Plain(image, spend), may_begin_again=is_on_loop)
        self.rows, self.pieces = judged.rows, judged.pieces

    def logged_changes(
        self, after: TxId, *, rows_max: int, bytes_max: int, is_whole: bool
    ) -> Sequence[LoggedChanges]:
        """It keeps no log."""
        return []

    def newest_tx(self) -> TxId:
        return self.tx

    def commits_after(
        self, after: TxId, *, rows_max: int, bytes_max: int
    ) -> Sequence[Commit] | None:
        """It keeps no log."""
        return [] if after == self.tx else None


class TriplesResults:
    """See `store.results.OpenResults`; it forgets nothing."""

    def __init__(self, file: apsw.Connection) -> None:
        self._file = file

    def find(self, event_id: EventId, *, now_ms: int) -> KeptResult | None:
        sql = "SELECT tx, made, value FROM calls WHERE event = ?"
        for tx, made, value in self._file.execute(sql, (event_id,)).fetchall():
            is_kept = now_ms - made <= function_limits.RESULT_KEPT_MS
            return KeptResult(tx, value if is_kept else None)
        return None

    def keep(self, event_id: EventId, value: bytes, *, tx: TxId, time_ms: int) -> None:
        self._file.execute("INSERT INTO calls VALUES (?, ?, ?, ?)", (event_id, tx, time_ms, value))


class _Plain:
    """Statements without judged terms."""

    dialect: Dialect = TRIPLES

    def __init__(self, image: Image, spend: Callable[[int], None]) -> None:
        self.rows, self.pieces, self.spend = image.rows, image.pieces, spend
