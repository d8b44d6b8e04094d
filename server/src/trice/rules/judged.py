"""Rules that SQL cannot decide, evaluated row by row on the cells a query reads anyway.

Costs 1 to 3 µs a row: the map `data` and the variables are made once and refilled.

source   instant-semantics §5.5, §5.7, §5.11; spec/rules.md R80-R86
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.cel.closures import BUDGET
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.evaluate import Program
from trice.protocol.ids import EntityId, uuid_text
from trice.query.ast import Judged, Ref
from trice.rules.facts import Facts, facts_of
from trice.rules.judge import Judge
from trice.rules.references import is_reachable, resolve_path
from trice.rules.values import entity_map, reference_values, value_of
from trice.store.judged import Decide

_DATA: Final = "data"
_PLAIN: Final = frozenset((str, int, float, type(None)))
"""Types of cells that stand for themselves."""


def judged_rows(program: Program, *, etype: str, action: str, judge: Judge) -> Judged:
    """The condition that evaluates `program` for each entity of `etype`.

    action   the action that errors name
    raises   its `decide`: PermissionDenied("permission-evaluation-failed"),
             LimitExceeded("rate-limited")
    """
    facts = facts_of(program)
    paths, refs = _known_paths(judge.catalog, etype, facts)
    namespace = judge.catalog.namespaces.get(etype)
    columns = () if namespace is None else namespace.columns
    is_whole = _DATA in facts.whole
    labels = facts.labels(_DATA)
    attrs = columns if is_whole else tuple(attr for attr in columns if attr.label in labels)
    needs_id = is_whole or "id" in labels or _DATA in facts.computed_refs
    needs_id = needs_id or len(paths) < len(facts.paths(_DATA))
    decide = _decider(
        program,
        judge,
        etype=etype,
        action=action,
        attrs=attrs,
        paths=paths,
        refs=refs,
        is_whole=is_whole,
        needs_id=needs_id,
    )
    return Judged(_once_each(decide), attrs, refs, is_once=facts.mentions("rateLimit"))


def _known_paths(
    catalog: Catalog, etype: str, facts: Facts
) -> tuple[tuple[str, ...], tuple[Ref, ...]]:
    """The paths of `data.ref` that a query can fetch; others are left to the judge."""
    found: dict[str, Ref] = {}
    for path in sorted(facts.paths(_DATA)):
        try:
            ref = resolve_path(catalog, etype, path)
        except EvaluationError:
            continue
        if is_reachable(catalog, ref):
            found[path] = ref
    return tuple(found), tuple(found.values())


def _decider(
    program: Program,
    judge: Judge,
    *,
    etype: str,
    action: str,
    attrs: tuple[Attr, ...],
    paths: tuple[str, ...],
    refs: tuple[Ref, ...],
    is_whole: bool,
    needs_id: bool,
) -> Decide:
    """The function that evaluates `program` for one row. It reuses everything it can."""
    data: dict[str, Any] = {}
    budget = judge.start()
    auth = judge.auth_for(program)
    scope: dict[Any, Any] = {**judge.scope(etype=etype, data=data, auth=auth), BUDGET: budget}
    steps = limits.CEL_STEPS_MAX - program.weight
    labels = tuple(attr.label for attr in attrs)
    run = program.run
    found: dict[str, Sequence[Cell]] = {}
    by_path = dict(zip(paths, refs, strict=True))
    find = scope["data.ref"]

    def reference(path: str) -> list[Any]:
        cells = found.get(path)
        if cells is None:
            return find(path)  # type: ignore[no-any-return]
        budget.charge(1 + len(cells) // 8)
        return judge.checked_reference(path, reference_values(by_path[path].attr, cells))

    if paths:
        scope["data.ref"] = reference

    def decide(
        entity: EntityId, cells: Sequence[Cell], referred: Sequence[Sequence[Cell]]
    ) -> tuple[bool, int]:
        if is_whole:
            data.clear()
            data.update(entity_map(uuid_text(entity), attrs, cells))
        else:
            if needs_id:
                data["id"] = uuid_text(entity)
            for position, cell in enumerate(cells):
                data[labels[position]] = (
                    cell if type(cell) in _PLAIN else value_of(attrs[position], cell)
                )
        for position, path in enumerate(paths):
            found[path] = referred[position]
        budget.steps_left = steps
        judge.budget = budget
        try:
            value = run(scope)
        except (EvaluationError, BudgetExceeded, RecursionError) as error:
            raise judge.failure(etype, action, error) from error
        taken = limits.CEL_STEPS_MAX - budget.steps_left
        judge.steps += taken
        return value is not None and value is not False, taken

    return decide


def _once_each(decide: Decide) -> Decide:
    """`decide` with its answer for each entity remembered.

    Several levels and conditions of a query ask about the same entity; tokens are taken once.
    """
    known: dict[EntityId, tuple[bool, int]] = {}

    def remembered(
        entity: EntityId, cells: Sequence[Cell], referred: Sequence[Sequence[Cell]]
    ) -> tuple[bool, int]:
        answer = known.get(entity)
        if answer is None:
            if len(known) >= limits.RULE_MEMO_MAX:
                known.clear()
            answer = decide(entity, cells, referred)
            known[entity] = answer[0], 0
        return answer

    return remembered
