"""The statement of an aggregate: one, whatever is asked for. Composed here only. No I/O."""

from __future__ import annotations

from trice import limits
from trice.catalog.attr import Attr
from trice.query.ast import Scope
from trice.query.sql.forms import ROOT, Statement, checked
from trice.query.sql.fragment import Fragment, Place
from trice.query.sql.where import Composer
from trice.query.totals import Columns, Extreme
from trice.store.engine import Binding
from trice.store.sqlite.tables import order_column


def select_aggregate(composer: Composer, etype: str, where: Scope, columns: Columns) -> Statement:
    """Count and measure the entities that match.

    returns  one row, or one per group, of `key, count`, then `totals.SUM_COLUMNS` for each of
             `columns.sums`, then one for each of `columns.extremes`; the key of all is NULL
    """
    place = Place(ROOT, etype)
    found = composer.matching(where, place)
    inner: dict[str, Fragment] = {}
    outer = [_key(composer, columns, place, inner), "count(*)"]
    for attr in columns.sums:
        outer += _sums(composer, _inner(inner, _cell(composer, attr, place)))
    for extreme in columns.extremes:
        cell = _inner(inner, _extreme_cell(composer, extreme, place))
        outer.append(f"{'max' if extreme.is_max else 'min'}({cell})")
    cells = ", ".join(f"{cell.text} AS {name}" for name, cell in inner.items()) or "1"
    text = (
        f"SELECT {', '.join(outer)} FROM"
        f" (SELECT {cells} FROM {composer.table(etype)} {ROOT} WHERE {found.text})"
    )
    if columns.aggregate.is_grouped:
        text += f" GROUP BY 1 LIMIT {limits.AGGREGATE_GROUPS_MAX + 1}"
    bindings: tuple[Binding, ...] = tuple(
        binding for cell in inner.values() for binding in cell.bindings
    )
    return checked(text, (*bindings, *found.bindings))


def _inner(inner: dict[str, Fragment], cell: Fragment) -> str:
    """The name of `cell` in the inner statement, which computes it once."""
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
    return cell if attr.is_ref or attr.is_indexed else f"nullif({cell}, x'00')"


def _sums(composer: Composer, cell: str) -> list[str]:
    """Exact whatever the values: integers in two halves, which cannot overflow, floats apart."""
    dialect = composer.dialect
    is_integer, is_real = dialect.is_integer(cell), dialect.is_real(cell)
    return [
        f"count(*) FILTER (WHERE {is_integer} OR {is_real})",
        f"sum({cell} >> 32) FILTER (WHERE {is_integer})",
        f"sum({cell} & 4294967295) FILTER (WHERE {is_integer})",
        f"{dialect.exact_sum(cell)} FILTER (WHERE {is_real})",
    ]


def _extreme_cell(composer: Composer, extreme: Extreme, place: Place) -> Fragment:
    """What orders the values of an attr, as `totals.Extreme.rank_read` reads it."""
    attr, dialect = extreme.attr, composer.dialect
    operand = composer.column(ROOT, attr.column)
    name = order_column(attr)
    order = None if name == attr.column else composer.column(ROOT, name)
    match extreme.kind:
        case "text":
            ranked = dialect.ranked_text(operand, order)
        case "instant":
            ranked = dialect.instant(operand) if order is None else order
        case _:
            is_number = f"{dialect.is_integer(operand)} OR {dialect.is_real(operand)}"
            ranked = f"CASE WHEN {is_number} THEN {operand} END"
    return composer.if_shown(attr, place, ranked)


def _cell(composer: Composer, attr: Attr, place: Place) -> Fragment:
    return composer.if_shown(attr, place, composer.column(ROOT, attr.column))
