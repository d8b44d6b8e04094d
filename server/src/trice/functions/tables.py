"""`ctx.db` of a call: the tables of its schema, as `trice.schema.tables.Table` says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trice.function_limits import FIND_ROWS_MAX
from trice.functions.channel import RefusedError
from trice.functions.conditions import label_of, order_of, unknown, where_of
from trice.functions.model import MISSING, Entity, Field, LinkEnd
from trice.functions.running import Running
from trice.functions.shapes import Shape
from trice.functions.values import id_of, ids_of, plain
from trice.schema.declare import Fill
from trice.schema.views import Page, Paged


class Db:
    """The tables of a schema.

    scope       the mutation inside of a mutation that it belongs to; None: the outermost function
    is_writing  whether it may be written
    """

    def __init__(
        self,
        running: Running,
        *,
        scope: object | None,
        is_writing: bool = False,
        as_caller: bool = False,
    ) -> None:
        self._running = running
        self._scope = scope
        self._is_writing = is_writing
        self._as_caller = as_caller

    def __getattr__(self, name: str) -> BoundTable:
        tables = self._running.program.hints.model.tables
        if name not in tables:
            listed = ", ".join(tables) or "none: the project has no schema.py"
            raise AttributeError(f"The schema has no table {name}. It has {listed}")
        table = BoundTable(
            self._running,
            tables[name],
            scope=self._scope,
            is_writing=self._is_writing,
            as_caller=self._as_caller,
        )
        setattr(self, name, table)
        return table

    def as_caller(self) -> Db:
        """The same tables as the caller's rules show them; for reads only."""
        return Db(self._running, scope=None, as_caller=True)

    async def query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an InstaQL query, as nested objects."""
        answer = await self._running.read(plain(query), as_caller=self._as_caller)
        found: dict[str, Any] = msgspec.json.decode(answer)
        return found


class BoundTable:
    """One table of a call."""

    def __init__(
        self,
        running: Running,
        entity: Entity,
        *,
        scope: object | None,
        is_writing: bool,
        as_caller: bool,
    ) -> None:
        self._running = running
        self._entity = entity
        self._scope = scope
        self._is_writing = is_writing
        self._as_caller = as_caller

    # --- reads ------------------------------------------------------------------------------------

    async def get(self, id: str, view: Any = None) -> Any:
        # Without `limit`, which would make it a page: an id is that of one row at most.
        return _only(await self._rows(view, where={"id": id}))

    async def get_many(self, ids: Sequence[str], view: Any = None) -> list[Any]:
        if not ids:
            return []
        if len(ids) > FIND_ROWS_MAX:
            raise _too_many(self._entity.etype, f"get_many takes {FIND_ROWS_MAX:,} ids at most")
        shape = self._shape(view)
        found = await self._raw_rows(shape, where={"id": {"$in": list(ids)}})
        by_id = dict(zip((row["id"] for row in found), shape.made(found), strict=True))
        return [by_id.get(each) for each in ids]

    async def lookup(self, view: Any = None, **by: Any) -> Any:
        if len(by) != 1:
            raise TypeError('lookup takes one unique attribute and its value: lookup(email="…")')
        return _only(await self._rows(view, where=by, limit=1))

    async def first(self, view: Any = None, *, where: Any = None, order: Any = None) -> Any:
        return _only(await self._rows(view, where=where, order=order, limit=1))

    async def find(
        self, view: Any = None, *, where: Any = None, order: Any = None, limit: int | None = None
    ) -> list[Any]:
        if limit is not None and (type(limit) is not int or limit < 0):
            raise TypeError(f"limit is a whole number, 0 or more, not {limit!r}")
        if limit == 0:
            return []
        most = FIND_ROWS_MAX + 1 if limit is None else limit
        found = await self._rows(view, where=where, order=order, limit=most)
        if limit is None and len(found) > FIND_ROWS_MAX:
            told = f"more than {FIND_ROWS_MAX:,} of {self._entity.etype} match: say `limit`"
            raise _too_many(self._entity.etype, f"{told}, or ask by `page`, `count` or `totals`")
        return found

    async def page(
        self, page: Paged, view: Any = None, *, where: Any = None, order: Mapping[str, Any]
    ) -> Page[Any]:
        if not 1 <= page.size <= FIND_ROWS_MAX:
            hint = {"path": "page.size", "expected": f"1 to {FIND_ROWS_MAX:,}", "got": page.size}
            raise RefusedError("bad-args", f"The size of a page is 1 to {FIND_ROWS_MAX:,}.", hint)
        shape = self._shape(view)
        form = shape.form(where=self._where(where) or None, order=self._order(order))
        answer = await self._running.page(
            {self._entity.etype: form},
            size=page.size,
            after=page.after,
            as_caller=self._as_caller,
        )
        found = msgspec.json.decode(answer)
        rows = found["answer"][self._entity.etype][: found["most"]]
        return Page(items=shape.made(rows), next=found["next"])

    async def exists(self, where: Any) -> bool:
        options = {"where": self._where(where), "fields": ["id"], "limit": 1}
        return bool(msgspec.json.decode(await self._ask({"$": options}))[self._entity.etype])

    async def count(self, where: Any = None) -> int:
        return int((await self.totals(where=where))["count"])

    async def totals(
        self,
        *,
        where: Any = None,
        sum: Any = None,
        avg: Any = None,
        min: Any = None,
        max: Any = None,
        group_by: str | None = None,
    ) -> dict[str, Any]:
        asked: dict[str, Any] = {"count": True}
        for word, said in (("sum", sum), ("avg", avg), ("min", min), ("max", max)):
            if said is not None:
                names = [said] if isinstance(said, str) else said
                asked[word] = [self._label(name) for name in names]
        if group_by is not None:
            asked["groupBy"] = self._label(group_by)
        options: dict[str, Any] = {"aggregate": asked}
        if where:
            options["where"] = self._where(where)
        answer = msgspec.json.decode(await self._ask({"$": options}))
        found: dict[str, Any] = answer[self._entity.etype]
        return found

    async def _rows(
        self, view: Any, *, where: Any = None, order: Any = None, limit: int | None = None
    ) -> list[Any]:
        shape = self._shape(view)
        form = shape.form(
            where=self._where(where) if where else None,
            order=self._order(order) if order else None,
            limit=limit,
        )
        return shape.rows(await self._ask(form))

    async def _raw_rows(self, shape: Shape, **options: Any) -> list[dict[str, Any]]:
        answer = await self._ask(shape.form(**options))
        rows: list[dict[str, Any]] = msgspec.json.decode(answer)[self._entity.etype]
        return rows

    async def _ask(self, form: dict[str, Any]) -> bytes:
        return await self._running.read({self._entity.etype: form}, as_caller=self._as_caller)

    def _shape(self, view: Any) -> Shape:
        shape = self._running.program.hints.shapes.of(view or self._entity.cls)
        if shape.entity is not self._entity:
            told = f"{view.__name__} is a view of {shape.entity.etype}, not of {self._entity.etype}"
            raise TypeError(told)
        return shape

    def _label(self, name: str) -> str:
        return label_of(self._entity, name)

    def _order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return order_of(self._entity, order)

    def _where(self, where: Any) -> dict[str, Any]:
        return where_of(self._entity, where)

    # --- writes -----------------------------------------------------------------------------------

    def create(self, *, id: str | None = None, **values: Any) -> str:
        eid = self._running.new_id() if id is None else id_of(id)
        fields, links = self._sorted(values)
        for each in self._entity.fields.values():
            if each.label not in fields and each.default not in (MISSING, None):
                fields[each.label] = plain(self._default(each))
        for link, targets in links:
            if link.is_one and link.name in self._entity.links and len(targets) == 1:
                fields[link.label] = targets[0]
        steps: list[Any] = [["create", self._entity.etype, eid, fields]]
        steps += self._link_steps(
            "link", eid, [each for each in links if each[0].label not in fields]
        )
        self._write(steps)
        return eid

    def update(self, id: str, /, **values: Any) -> None:
        self._change("update", id, values)

    def merge(self, id: str, /, **values: Any) -> None:
        self._change("merge", id, values)

    def link(self, id: str, /, **links: Any) -> None:
        self._write(self._link_steps("link", id, self._only_links("link", links)))

    def unlink(self, id: str, /, **links: Any) -> None:
        self._write(self._link_steps("unlink", id, self._only_links("unlink", links)))

    def delete(self, id: str, /) -> None:
        self._write([["delete", self._entity.etype, id_of(id)]])

    def increment(self, id: str, /, **by: float) -> None:
        fields, links = self._sorted(by)
        if links:
            raise TypeError(f"{links[0][0].name} is a link, which has no number to add to")
        self._write([["increment", self._entity.etype, id_of(id), fields, {"upsert": False}]])

    def _default(self, known: Field) -> Any:
        if not isinstance(known.default, Fill):
            return known.default
        return self._running.now() if known.default.by == "now" else self._running.new_id()

    def _change(self, op: str, id: str, values: dict[str, Any]) -> None:
        fields, links = self._sorted(values)
        for link, targets in links:
            if op == "merge" or not link.is_one or link.name not in self._entity.links:
                raise TypeError(f"{link.name} is a link: use link and unlink, not {op}")
            if len(targets) != 1:
                told = f"{link.name}=None does not take the link away: use unlink, with its id"
                raise TypeError(told)
            fields[link.label] = targets[0]
        self._write([[op, self._entity.etype, id_of(id), fields, {"upsert": False}]])

    def _sorted(self, values: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """Values by label, and links with the ids of their targets."""
        fields: dict[str, Any] = {}
        links = []
        for name, value in values.items():
            link = self._entity.link(name)
            if link is not None:
                links.append((link, ids_of(value)))
                continue
            known = self._entity.fields.get(name)
            if known is None:
                raise unknown(self._entity, name)
            fields[known.label] = self._checked(known, value)
        return fields, links

    def _checked(self, known: Field, value: Any) -> Any:
        """A value as JSON; an enum or Literal is checked, as no server knows their values."""
        made = plain(value)
        if known.is_listed and made is not None:
            hint = self._running.program.hints.checked(known.hint)
            try:
                msgspec.convert(made, hint)
            except msgspec.ValidationError as failure:
                told = f"{self._entity.etype}.{known.label}: {failure}"
                raise TypeError(told) from None
        return made

    def _only_links(self, op: str, given: dict[str, Any]) -> list[tuple[LinkEnd, list[str]]]:
        found = []
        for name, value in given.items():
            link = self._entity.link(name)
            if link is None:
                told = f"{self._entity.etype} has no link {name} to {op}"
                raise TypeError(told)
            found.append((link, ids_of(value)))
        return found

    def _link_steps(self, op: str, eid: str, links: list[tuple[LinkEnd, list[str]]]) -> list[Any]:
        return [
            [op, self._entity.etype, id_of(eid), {link.label: targets}]
            for link, targets in links
            if targets
        ]

    def _write(self, steps: list[Any]) -> None:
        if not self._is_writing:
            told = (
                "ctx.db.as_caller() is for reads"
                if self._as_caller
                else "A query only reads: write in a mutation"
            )
            raise TypeError(told)
        self._running.write(self._scope, steps)


def _only(rows: list[Any]) -> Any:
    return rows[0] if rows else None


def _too_many(etype: str, told: str) -> RefusedError:
    return RefusedError(
        "too-many-rows", f"{told}.", {"namespace": etype, "rows-max": FIND_ROWS_MAX}
    )
