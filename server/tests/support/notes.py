"""A library of notes for tests of rules: every kind of attr, users, teams, tags.

notes    title n done day kind            indexed: string number boolean date untyped
         sub size flag when note          not indexed, likewise
         owner -> $users, team -> teams, parent -> notes (one), tags -> tags (many)
$users   role (untyped), team -> teams (one)
teams    name        tags    name, level (indexed number)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.apart import APART, judging_apart
from support.attrs import entity
from support.library import Library, uid
from support.runtime import FakeRuntime
from trice.catalog.system import system_attrs
from trice.identity import Identity
from trice.protocol.ids import EntityId
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.rate_limit import Buckets
from trice.rules.document import Rules
from trice.rules.judge import Caller, Judge
from trice.rules.visible import RuledVisibility

GUEST = Identity("guest", None, ip="10.0.0.9", origin="https://a.test")


def user(number: int) -> Identity:
    """The identity of `$users` entity `number`."""
    return Identity("user", EntityId(entity(number)), ip="10.0.0.1", origin="https://a.test")


@dataclass
class Notes:
    """The library, and judgements of rules on it."""

    path: Path
    runtime: FakeRuntime = field(default_factory=FakeRuntime)

    def __post_init__(self) -> None:
        self.library = Library(self.path)
        self.buckets = Buckets(self.runtime)
        self.all_at_once(self._add_attrs)

    def all_at_once(self, work: Callable[[], None]) -> None:
        """Run `work` as one transaction of SQLite: it waits for the disk once."""
        self.library.connection.run("BEGIN")
        work()
        self.library.connection.run("COMMIT")

    def _add_attrs(self) -> None:
        library = self.library
        library.add_attrs(*system_attrs())
        library.field("$users", "role")
        library.field("notes", "id")
        kinds = ("string", "number", "boolean", "date", None)
        for label, checked in zip(("title", "n", "done", "day", "kind"), kinds, strict=True):
            library.field("notes", label, is_indexed=True, checked_type=checked)
        for label, checked in zip(("sub", "size", "flag", "when", "note"), kinds, strict=True):
            library.field("notes", label, checked_type=checked)
        for etype in ("teams", "tags"):
            library.field(etype, "id")
            library.field(etype, "name")
        library.field("tags", "level", is_indexed=True, checked_type="number")
        library.link("notes", "owner", "$users", "notes", cardinality="one")
        library.link("notes", "team", "teams", "notes", cardinality="one")
        library.link("notes", "parent", "notes", "children", cardinality="one")
        library.link("notes", "tags", "tags", "notes")
        library.link("$users", "team", "teams", "members", cardinality="one")

    def close(self) -> None:
        self.library.connection.close()

    def judge(
        self,
        rules: Rules,
        identity: Identity = GUEST,
        params: Mapping[str, Any] | None = None,
        *,
        is_detailed: bool = False,
    ) -> Judge:
        """A judge on the current data."""
        return Judge(
            rules,
            Caller(identity, params or {}, is_detailed),
            self.library,
            self.library.catalog,
            runtime=self.runtime,
            buckets=self.buckets,
            app_id="app",
        )

    def visibility(
        self, rules: Rules, identity: Identity = GUEST, params: Mapping[str, Any] | None = None
    ) -> RuledVisibility:
        """What a caller may see."""
        judge = self.judge(rules, identity, params)
        return RuledVisibility(rules, judge, self.library.catalog)

    def ask(
        self,
        rules: Rules,
        query: Any,
        identity: Identity = GUEST,
        params: Mapping[str, Any] | None = None,
        *,
        is_apart: bool = False,
    ) -> Any:
        """Run a query under rules. `library.statements` has the statements it took.

        is_apart   rules in Python are judged beforehand, as by an engine without Python inside
        """
        self.library.statements.clear()
        parsed = parse(query, self.library.catalog, is_admin=False)
        visibility = self.visibility(rules, identity, params)
        library = self.library
        dialect = APART if is_apart else library.dialect
        made = plan(parsed, library.catalog, visibility, dialect=dialect)
        return run(made, judging_apart(library) if is_apart else library)

    def seen(
        self,
        expression: str | bool,
        identity: Identity = GUEST,
        params: Mapping[str, Any] | None = None,
        *,
        bind: Any = None,
    ) -> list[int]:
        """The numbers of the notes that a view rule shows, in order."""
        rules = Rules.parse({"notes": {"bind": bind, "allow": {"view": expression}}})
        (node,) = self.ask(rules, {"notes": {}}, identity, params).nodes
        return sorted(int.from_bytes(row[0], "big") for row in node.rows)

    def value(self, expression: str, number: int, identity: Identity = GUEST, **given: Any) -> Any:
        """The value of a view rule for note `number`, as the judge finds it."""
        rules = Rules.parse({"notes": {"allow": {"view": expression}}})
        judge = self.judge(rules, identity, **given)
        found = judge.entity("notes", EntityId(entity(number)))
        assert found is not None, uid(number)
        return judge.evaluate(rules.find("notes", "view"), etype="notes", action="view", data=found)
