"""The levels of a query in words, to find out why it took long. Names and numbers only."""

from __future__ import annotations

from collections.abc import Iterator

from trice import limits
from trice.query.plan import FormPlan, Plan, walk_forms
from trice.query.sql.forms import Statement
from trice.query.tree import Node
from trice.store.engine import Statements


def levels(nodes: list[Node]) -> str:
    """Each level with the entities that were read for it: `todos=60 todos.owner=3`."""
    found = _levels(nodes, "")
    return " ".join(text for text, _ in zip(found, range(limits.SLOW_PARTS_MAX), strict=False))


def _levels(nodes: list[Node], above: str) -> Iterator[str]:
    for node in nodes:
        name = f"{above}{_short(node.form.label)}"
        yield f"{name}={len(node.rows)}"
        yield from _levels(node.children, f"{name}.")


def sql_plan(plan: Plan, statements: Statements) -> str:
    """How the store reads each level: `todos: SEARCH e USING INDEX … | people: SCAN e`.

    Levels that page are left out: their statements are composed while rows are read.
    """
    found: list[str] = []
    for form in walk_forms(plan.forms):
        statement = _statement(form)
        if statement is not None and len(found) < limits.SLOW_PARTS_MAX:
            sql = statements.dialect.explained(statement.sql)
            bindings = statement.bindings if form.via is None else statement.with_ids(())
            rows = statements.rows(sql, bindings)
            steps = [str(row[-1])[: limits.NAME_BYTES_MAX] for row in rows[: limits.SLOW_PARTS_MAX]]
            found.append(f"{_short(form.etype)}: {', '.join(steps)}")
    return " | ".join(found)


def _statement(form: FormPlan) -> Statement | None:
    aggregate = form.aggregate
    return form.select or form.count or (None if aggregate is None else aggregate.statement)


def _short(name: str) -> str:
    return name[:40]
