"""The statement of an aggregate: one statement for all its measures. Composed here only. No I/O."""

from __future__ import annotations

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.values import has_order_column
from trice.query.ast import Scope
from trice.query.sql.forms import Statement, checked
from trice.query.sql.fragment import Fragment, Place
from trice.query.sql.where import ROOT, Composer
from trice.query.totals import Columns, Extreme
from trice.store.engine import Binding


def select_aggregate(composer: Composer, etype: str, where: Scope, columns: Columns) -> Statement:
    """Count and measure the entities that match.

    returns  one row, or one row per group, of `key, count`, then `totals.SUM_COLUMNS` columns for
             each of `columns.sums`, then one for each of `columns.extremes`; without groups the
             key is NULL
    """
    place = Place(ROOT, etype)
    found = composer.matching(where, place)
    inner: dict[str, Fragment] = {}
    outer = [_key(composer, columns, place, inner), "count(*)"]
    for attr in columns.sums:
        outer += composer.dialect.sums(_inner(inner, _cell(composer, attr, place)))
    for extreme in columns.extremes:
        cell = _inner(inner, _extreme_cell(composer, extreme, place))
        outer.append(f"{'max' if extreme.is_max else 'min'}({cell})")
    cells = ", ".join(f"{cell.text} AS {name}" for name, cell in inner.items()) or "1"
    text = (
        f"SELECT {', '.join(outer)} FROM"
        f" (SELECT {cells} FROM {composer.table(place)} WHERE {found.text}) AS found"
    )
    if columns.aggregate.is_grouped:
        text += f" GROUP BY 1 LIMIT {limits.AGGREGATE_GROUPS_MAX + 1}"
    bindings: tuple[Binding, ...] = tuple(
        binding for cell in inner.values() for binding in cell.bindings
    )
    return checked(text, (*bindings, *found.bindings))


def _inner(inner: dict[str, Fragment], cell: Fragment) -> str:
    """The name of `cell` in the inner statement, where it is computed once."""
    for name, known in inner.items():
        if known == cell:
            return name
    name = f"c{len(inner)}"
    inner[name] = cell
    return name


def _key(composer: Composer, columns: Columns, place: Place, inner: dict[str, Fragment]) -> str:
    attr = columns.aggregate.group
    if attr is None:
        return "NULL"
    cell = _inner(inner, _cell(composer, attr, place))
    return cell if attr.is_ref or attr.is_indexed else composer.dialect.given(cell)


def _extreme_cell(composer: Composer, extreme: Extreme, place: Place) -> Fragment:
    """The cell that orders the values of an attr, as `totals.Extreme.rank_read` reads it."""
    attr, dialect = extreme.attr, composer.dialect
    operand = dialect.cell(attr, ROOT)
    order = dialect.order_cell(attr, ROOT) if has_order_column(attr) else None
    match extreme.kind:
        case "text":
            ranked = dialect.ranked_text(operand, order)
        case "instant":
            ranked = dialect.instant(operand) if order is None else order
        case _:
            ranked = dialect.number(operand)
    return composer.if_shown(attr, place, ranked)


def _cell(composer: Composer, attr: Attr, place: Place) -> Fragment:
    return composer.if_shown(attr, place, composer.dialect.cell(attr, ROOT))
