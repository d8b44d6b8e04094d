"""`db.typed(Db)`: rows as instances of the classes of a `schema.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from trice_client._forms import form_of
from trice_client._json import is_list
from trice_client._plain import plain
from trice_client._typed.model import Entity
from trice_client._typed.shapes import Shape, Shapes
from trice_client._typed.writes import TypedTx

if TYPE_CHECKING:
    from trice_client._async.database import AsyncDatabase
    from trice_client._live.watch import Live

Row = TypeVar("Row")
Watch = Callable[[Mapping[str, Any], Callable[[Any], Any]], Any]
_PAGE_ROWS = 1_000


class AsyncTyped:
    """An app by the classes of its schema; a namespace or a `View` stands where a name would.

        typed = db.typed(Db)
        for message in await typed.find(Message, where={"channel": channel}):
            print(message.text, message.sent_at)
        await db.transact(typed.tx[Message][new_id()].create({"text": "Hi"}))

    A row is an instance of its class: dates are `datetime`, of each `One` it has the id. A view has
    what it names; all else is not read. Checkers of types know the class of what is returned; the
    names in `where`, `order` and writes are checked when it is asked, before it is sent.
    """

    def __init__(self, db: AsyncDatabase, shapes: Shapes, watch: Watch) -> None:
        self._db = db
        self._shapes = shapes
        self._model = shapes.model
        self._watch = watch
        self.tx = TypedTx(shapes)

    async def find(
        self,
        row: type[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Row]:
        """Rows that match."""
        shape = self._shapes.of(row)
        query = self._query(shape, where, order, limit=limit, offset=offset)
        found = (await self._db.query(query))[shape.entity.etype]
        return [shape.row(each) for each in found]

    async def first(
        self,
        row: type[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
    ) -> Row | None:
        """The first that matches, by creation unless an order is given."""
        found = await self.find(row, where=where, order=order, limit=1)
        return found[0] if found else None

    async def get(self, row: type[Row], id: str) -> Row | None:
        """The row with this id; None if there is none, or it may not be seen."""
        return await self.first(row, where={"id": id})

    async def iterate(
        self,
        row: type[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        page_rows: int = _PAGE_ROWS,
    ) -> AsyncIterator[Row]:
        """All rows that match, a page at a time: memory is that of one page."""
        shape = self._shapes.of(row)
        rows: AsyncIterator[dict[str, Any]] = self._db.iterate(
            shape.entity.etype,
            where=self._where(shape.entity, where),
            order=self._order(shape.entity, order),
            links=shape.links,
            fields=shape.labels,
            page_rows=page_rows,
        )
        async for each in rows:
            yield shape.row(each)

    def watch(
        self,
        row: type[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Live[list[Row]]:
        """`find`, live: now and whenever it is something else."""
        shape = self._shapes.of(row)
        etype = shape.entity.etype
        query = plain(self._query(shape, where, order, limit=limit))
        live: Live[list[Row]] = self._watch(
            query, lambda answer: [shape.row(each) for each in answer.data[etype]]
        )
        return live

    async def count(self, row: type[Any], *, where: Mapping[str, Any] | None = None) -> int:
        """How many match."""
        found: int = (await self.totals(row, {"count": True}, where=where))["count"]
        return found

    async def totals(
        self,
        row: type[Any],
        aggregate: Mapping[str, Any],
        *,
        where: Mapping[str, Any] | None = None,
        group_by: str | None = None,
    ) -> dict[str, Any]:
        """Totals of all rows that match, as of `db.totals`: `{"count": True, "sum": "size"}`."""
        entity = self._shapes.of(row).entity

        def label(said: Any) -> Any:
            if is_list(said):
                return [label(each) for each in said]
            return entity.label(said, ("aggregate",)) if isinstance(said, str) else said

        asked = {word: label(said) for word, said in aggregate.items()}
        return await self._db.totals(
            entity.etype,
            asked,
            where=self._where(entity, where),
            group_by=None if group_by is None else label(group_by),
        )

    def _query(
        self,
        shape: Shape,
        where: Mapping[str, Any] | None,
        order: Mapping[str, str] | None,
        **more: Any,
    ) -> dict[str, Any]:
        options = form_of(
            where=self._where(shape.entity, where), order=self._order(shape.entity, order), **more
        ).get("$", {})
        return {shape.entity.etype: shape.form(options)}

    def _where(self, entity: Entity, where: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if where is None else self._model.where(entity, where)

    def _order(self, entity: Entity, order: Mapping[str, str] | None) -> dict[str, str] | None:
        return None if order is None else self._model.order(entity, order)

    def __repr__(self) -> str:
        return f"{self._db!r}.typed({self._model.schema.__name__})"
