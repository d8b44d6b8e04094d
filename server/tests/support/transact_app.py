"""An app on a real file, and short ways to write to it and look at it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from support.engines import app_engine
from support.runtime import FakeRuntime
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import decode_attr
from trice.protocol.ids import EventId, find_uuid_bytes
from trice.store.commit import Commit
from trice.store.engine import Row, Snapshot, WriteTx
from trice.store.sqlite.attrs import SqliteAttrs
from trice.store.sqlite.engine import SqliteEngine
from trice.store.sqlite.rows import SqliteOpenRows
from trice.transact.admin import expand_admin_steps
from trice.transact.apply import apply
from trice.transact.parse import parse_steps
from trice.transact.permission import Checks
from trice.transact.steps import Step


def uid(number: int, kind: str = "e") -> str:
    """A readable uuid."""
    return f"{kind}0000000-0000-4000-8000-{number:012d}"


def raw(number: int) -> bytes:
    found = find_uuid_bytes(uid(number))
    assert found is not None
    return found


class App:
    """One app. `transact` takes low-level steps, `admin` the admin API's."""

    def __init__(self, path: Path) -> None:
        self.runtime = FakeRuntime()
        self._path = path
        self._runner = asyncio.Runner()
        self.engine = self._runner.run(self._open(path))
        self.statements: list[str] = []
        self._serial = 0

    async def _open(self, path: Path) -> SqliteEngine:
        return app_engine(path, self.runtime)

    def reopen(self) -> None:
        """Close the file and open it again."""
        self._runner.run(self.engine.close())
        self.engine = self._runner.run(self._open(self._path))

    def close(self) -> None:
        self._runner.run(self.engine.close())
        self._runner.close()

    @property
    def catalog(self) -> Catalog:
        return self.engine.catalog

    def transact(
        self,
        steps: Any,
        *,
        is_admin: bool = True,
        is_internal: bool = False,
        checks: Checks | None = None,
        is_long: bool = False,
    ) -> Commit:
        return self._write(
            lambda tx: parse_steps(steps, is_admin=is_admin),
            is_admin=is_admin,
            is_internal=is_internal,
            checks=checks,
            is_long=is_long,
        )

    def apply(self, *steps: Step, is_admin: bool) -> Commit:
        """Apply steps that are parsed already."""
        return self._write(lambda tx: steps, is_admin=is_admin, is_internal=False)

    def admin(self, *steps: Any, throw_on_missing_attrs: bool = False) -> Commit:
        return self._write(
            lambda tx: expand_admin_steps(
                list(steps),
                tx.catalog,
                throw_on_missing_attrs=throw_on_missing_attrs,
                runtime=self.runtime,
            ),
            is_admin=True,
            is_internal=False,
        )

    def _write(
        self,
        parse: Any,
        *,
        is_admin: bool,
        is_internal: bool,
        checks: Checks | None = None,
        is_long: bool = False,
    ) -> Commit:
        commits: list[Commit] = []
        self.statements = []

        def work(tx: WriteTx) -> Commit:
            commit = apply(
                _Counted(tx, self.statements),
                parse(tx),
                is_admin=is_admin,
                is_internal=is_internal,
                identity_name="tester",
                event_id=EventId("event"),
                runtime=self.runtime,
                checks=checks,
            )
            commits.append(commit)
            return commit

        self._runner.run(self.engine.write(work, is_long=is_long))
        return commits[-1]

    def define(self, etype: str, label: str, **flags: Any) -> str:
        """Add a field, or with `to=(etype, label)` a link; return its id."""
        attr = self.attr_json(etype, label, **flags)
        self.transact([["add-attr", attr]])
        return str(attr["id"])

    def attr_json(
        self, etype: str, label: str, *, to: tuple[str, str] | None = None, **flags: Any
    ) -> dict[str, Any]:
        self._serial += 1
        body: dict[str, Any] = {
            "id": uid(self._serial, "a"),
            "forward-identity": [uid(self._serial, "b"), etype, label],
            "value-type": "blob" if to is None else "ref",
            "cardinality": flags.pop("cardinality", "one"),
            "unique?": flags.pop("unique", label == "id"),
            "index?": flags.pop("index", False),
        }
        if to is not None:
            body["reverse-identity"] = [uid(self._serial, "c"), *to]
        body.update({key.replace("_", "-"): value for key, value in flags.items()})
        if "required" in body:
            body["required?"] = body.pop("required")
        return body

    def attr(self, etype: str, label: str) -> Attr:
        found = self.catalog.find_forward(etype, label)
        assert found is not None
        return found

    def put(self, etype: str, number: int, **values: Any) -> Commit:
        """Write an entity's id and values."""
        return self.transact(self.put_steps(etype, number, **values))

    def put_steps(self, etype: str, number: int, **values: Any) -> list[Any]:
        me = uid(number)
        return [
            ["add-triple", me, self.attr(etype, "id").id, me],
            *(["add-triple", me, self.attr(etype, key).id, each] for key, each in values.items()),
        ]

    def rows(self, sql: str, *bindings: Any) -> list[Row]:
        return self.engine.read_now(lambda snapshot: snapshot.rows(sql, bindings))

    def get(self, etype: str, number: int) -> dict[str, Any] | None:
        """The entity as JSON without missing values; None if it does not exist."""
        return self.all(etype).get(uid(number))

    def all(self, etype: str) -> dict[str, dict[str, Any]]:
        """Every entity of a namespace."""
        return {
            me: values for me, (created, values) in self._read(etype).items() if created is not None
        }

    def created(self, etype: str, number: int) -> int | None:
        return self._read(etype)[uid(number)][0]

    def _read(self, etype: str) -> dict[str, tuple[Any, dict[str, Any]]]:
        namespace = self.catalog.namespaces[etype]
        listed = "".join(f', "{attr.column}"' for attr in namespace.columns)
        found: dict[str, tuple[Any, dict[str, Any]]] = {}
        for me, created, *cells in self.rows(
            f'SELECT id, _created_ms{listed} FROM "{namespace.table}"'
        ):
            assert isinstance(me, bytes)
            digits = me.hex()
            text = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
            values = {
                attr.label: decode_attr(attr, cell)
                for attr, cell in zip(namespace.columns, cells, strict=True)
                if cell is not None or (attr.is_indexed and not attr.is_ref)
            }
            found[text] = (created, values)
        return found

    def pairs(self, etype: str, label: str) -> set[tuple[Any, Any]]:
        """The pairs of a link of cardinality many."""
        table = self.attr(etype, label).table
        return {(a, b) for a, b in self.rows(f'SELECT source, target FROM "{table}"')}

    def snapshot(self) -> dict[str, list[Row]]:
        """Every table of the app but the log, as stored."""

        def read(snapshot: Snapshot) -> dict[str, list[Row]]:
            names = snapshot.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
            return {
                str(name): sorted(snapshot.rows(f'SELECT * FROM "{name}"'), key=repr)
                for (name,) in names
                if name != "_tx"
            }

        return self.engine.read_now(read)


class _Counted:
    """A WriteTx that remembers its statements."""

    def __init__(self, tx: WriteTx, statements: list[str]) -> None:
        self.tx = tx.tx
        self.time_ms = tx.time_ms
        self.catalog = tx.catalog
        self.may_take_long = tx.may_take_long
        self.dialect = tx.dialect
        self.stored = SqliteOpenRows(self.rows)
        self.attrs = SqliteAttrs(self)
        self._tx = tx
        self._statements = statements

    def spend(self, steps: int) -> None:
        """An open write has no budget."""

    def rows(self, sql: str, bindings: Any = (), *more: Any) -> list[Row]:
        self._statements.append(sql)
        return self._tx.rows(sql, bindings, *more)
