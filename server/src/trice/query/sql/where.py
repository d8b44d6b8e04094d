"""Conditions to SQL predicates: the part of composing SQL that `where` needs. No I/O.

Every value is bound. The dialect says where data is, and writes what differs between engines. A
predicate that is NULL counts as false: predicates are negated only by `IS NOT TRUE`.

Visibility is composed into every place where data is read (`query.visibility`):
    a row that must exist          `visible` at its alias
    a value or link of a row       `shown` at its alias; for tests, hidden values are missing
    a link seen from its target    `holder`: the entity that holds it is visible and shows it

A little over 500 lines, one file because the predicates are composed of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.system import URL_ATTR, stored_as
from trice.catalog.values import Cell, compared_cell, encode_cell, is_by_instant
from trice.query.ast import (
    AllOf,
    AnyOf,
    Hop,
    IdPrefix,
    Judged,
    Never,
    Op,
    Ref,
    Scope,
    Test,
    is_judged,
)
from trice.query.cost import Composed
from trice.query.sql.branches import (
    Alternative,
    Edge,
    Variable,
    Way,
    alternatives,
    connected,
    groups,
    is_selective,
)
from trice.query.sql.fragment import (
    FALSE,
    TRUE,
    Fragment,
    Place,
    all_of,
    any_of,
    id_test,
    if_shown,
    in_ids,
    link_test,
    null_test,
)
from trice.query.visibility import EVERYTHING, Visibility, hidden_cell, holds_hidden
from trice.store.dialect import Dialect
from trice.store.engine import Binding
from trice.store.judged import IDS, JudgedTerm

ROOT: Final = "e"
"""The alias of the rows that a statement is about."""

_COMPARISONS: Final = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}


class Composer:
    """Composes the predicates of one statement.

    Holds the catalog (for the tables of linked namespaces), the dialect, what is visible, the
    aliases in use, and the count of the work.
    """

    def __init__(
        self,
        catalog: Catalog,
        dialect: Dialect,
        visibility: Visibility = EVERYTHING,
        *,
        composed: Composed,
    ) -> None:
        self.catalog = catalog
        self.dialect = dialect
        self._visibility = visibility
        self._composed = composed
        self.is_open = visibility is EVERYTHING
        """Whether everything is visible."""
        self._aliases = 0
        self._is_judging = False
        self._asked: Sequence[Fragment] = ()

    def table(self, place: Place) -> str:
        """The rows of a namespace, as a FROM names them."""
        return self.dialect.entities(self.catalog.namespaces[place.etype], place.alias)

    def new_alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def exists(self, alias: str) -> Fragment:
        """The row is an entity, not a stub."""
        return Fragment(f"{self.dialect.created_ms(alias)} IS NOT NULL")

    def matching(
        self,
        scope: Scope,
        place: Place,
        *,
        needed: Sequence[Test] = (),
        also: Fragment = TRUE,
    ) -> Fragment:
        """The row at `place` is a visible entity for which all conditions hold.

        needed  at least one of these tests must hold; empty: no such condition
        also    comes last, except for whether the entity is visible; may name other tables
        """
        # Rules come last: a rule that fails on a row which the query does not select must not end
        # the query.
        self._is_judging = not self.is_open and is_judged(self._visibility.entities(place.etype))
        parts = [self.exists(place.alias), self.scope(scope, place)]
        if needed:
            parts.append(any_of([self.scope((test,), place) for test in needed]))
        if self.is_open:
            return all_of([*parts, also])
        self._asked = (*self._asked, *parts)
        visible = self.visible(place)
        self._asked = (*self._asked, visible)
        return all_of([*parts, also, visible])

    def narrow(self, predicate: str) -> None:
        """Note another condition of the statement on its rows, for engines that judge beforehand.

        predicate   its one `?` stands for the ids that the statement is run with
        """
        if not self.is_open:
            self._asked = (Fragment(predicate, (IDS,)),)

    def masks(self, etype: str) -> bool:
        """Whether some values of the entities of a namespace may be hidden."""
        return self._visibility.masks(etype)

    def visible(self, place: Place) -> Fragment:
        """The entity at `place`, which exists, is visible."""
        return self._rule(self._visibility.entities(place.etype), place)

    def shown(self, attr: Attr, place: Place) -> Fragment:
        """The entity at `place`, which exists and holds `attr`, shows it. Ids always show."""
        if self.is_open or attr.is_id:
            return TRUE
        return self._rule(self._visibility.field(attr), place)

    def order_cell(self, attr: Attr, place: Place) -> Fragment:
        """The cell that orders `attr`; NULL where it is hidden."""
        return self.if_shown(attr, place, self.dialect.order_cell(attr, place.alias))

    def cell(self, attr: Attr, place: Place) -> Fragment:
        """The cell of `attr` as it is returned: NULL or HIDDEN where it is hidden."""
        cell = hidden_cell(attr)
        hidden = "NULL" if cell is None else self.dialect.constant(cell)
        operand = self.dialect.cell(self.stored(attr), place.alias)
        return self.if_shown(attr, place, operand, hidden=hidden)

    def stored(self, attr: Attr) -> Attr:
        """The attr whose cell is returned for `attr`: another one if it is computed."""
        return self.catalog.by_id[stored_as(attr.id)] if attr.id == URL_ATTR else attr

    def if_shown(self, attr: Attr, place: Place, operand: str, *, hidden: str = "NULL") -> Fragment:
        """`operand`, which is made of the cell of `attr`; `hidden` where this cell is hidden."""
        shown = self.shown(attr, place)
        if shown is TRUE:
            return Fragment(operand)
        if shown is FALSE:
            return Fragment(hidden)
        return Fragment(f"CASE WHEN {shown.text} THEN {operand} ELSE {hidden} END", shown.bindings)

    def holder(self, attr: Attr, alias: str, *, is_visible: bool = False) -> Fragment:
        """The caller may see the link at `alias` (the row that holds it, or a pair).

        is_visible  the entity that holds it is known to be visible
        """
        entities = () if is_visible else self._visibility.entities(attr.etype)
        fields = self._visibility.field(attr)
        if not entities and not fields:
            return TRUE
        namespace = self.catalog.namespaces.get(attr.etype)
        if namespace is None or not namespace.has_rows:
            return FALSE
        source = Place(self.new_alias() if attr.is_pairs else alias, attr.etype)
        found = all_of(
            [self.exists(source.alias), self._rule(fields, source), self._rule(entities, source)]
        )
        if found is FALSE or not attr.is_pairs:
            return found
        own_id = self.dialect.entity_id(source.alias)
        pair_source = self.dialect.source(attr, alias)
        return Fragment(
            f"EXISTS (SELECT 1 FROM {self.table(source)}"
            f" WHERE {own_id} = {pair_source} AND {found.text})",
            found.bindings,
        )

    def _rule(self, scope: Scope, place: Place) -> Fragment:
        """A scope of the visibility, judged on the whole data."""
        if not scope:
            return TRUE
        visibility, self._visibility = self._visibility, EVERYTHING
        was_open, self.is_open = self.is_open, True
        try:
            return self.scope(scope, place)
        finally:
            self._visibility, self.is_open = visibility, was_open

    def scope(self, scope: Scope, place: Place) -> Fragment:
        """All conditions hold for the entity at `place`, which exists."""
        parts: list[Fragment] = []
        judged: list[Fragment] = []
        linked: list[Test] = []
        self._composed.add(len(scope))
        for condition in scope:
            match condition:
                case Test():
                    if condition.path:
                        linked.append(condition)
                    else:
                        parts.append(self.test(condition, place))
                case IdPrefix(prefix):
                    own_id = self.dialect.entity_id(place.alias)
                    parts.append(Fragment(*self.dialect.id_prefix(own_id, prefix)))
                case AllOf(scopes):
                    parts += [self.scope(item, place) for item in scopes]
                case AnyOf(scopes):
                    parts.append(any_of([self.scope(item, place) for item in scopes]))
                case Never():
                    parts.append(FALSE)
                case Judged():
                    judged.append(self._judged(condition, place))
                case _:
                    assert_never(condition)
        for group in groups(linked, place.etype):
            self._composed.group(len(group))
            parts.append(
                any_of(
                    [
                        self._alternative(alternative, place)
                        for alternative in alternatives(group, place.etype)
                    ]
                )
            )
        return all_of([*parts, *judged])

    def _judged(self, condition: Judged, place: Place) -> Fragment:
        dialect, alias = self.dialect, place.alias
        text, binding = dialect.judge(
            JudgedTerm(
                entity=dialect.entity_id(alias),
                cells=[dialect.cell(attr, alias) for attr in condition.attrs],
                refs=[self._ref(ref, place) for ref in condition.refs],
                decide=condition.decide,
                is_once=condition.is_once,
                namespace=self.catalog.namespaces[place.etype],
                alias=alias,
                # For the rows that the statement is about: its other conditions.
                asked=self._asked if alias == ROOT else (),
            )
        )
        return Fragment(text, (binding,))

    def _ref(self, ref: Ref, place: Place) -> str:
        """One value: all cells at the end of the path, which starts from a row of its own.

        Over a column of the outer row, SQL would take the aggregate for one of the outer query.
        """
        self._composed.add(len(ref.path) + 1)
        dialect = self.dialect
        here = Place(self.new_alias(), place.etype)
        tables = [self.table(here)]
        own_id = dialect.entity_id(place.alias)
        parts = [Fragment(f"{dialect.entity_id(here.alias)} = {own_id}")]
        for depth, hop in enumerate(ref.path, start=1):
            far = Place(self.new_alias(), hop.etype)
            tables.append(self.table(far))
            edge = Edge((here.etype, depth - 1), hop, (far.etype, depth))
            parts += [self._join(edge, here, far, tables), self.exists(far.alias)]
            here = far
        if ref.attr.is_ref and (ref.attr.is_pairs or not ref.is_forward):
            alias = self.new_alias()
            near, value = self.ends(ref.attr, alias, is_forward=ref.is_forward)
            tables.append(dialect.links(ref.attr, alias))
            parts.append(Fragment(f"{near} = {dialect.entity_id(here.alias)}"))
        else:
            value = dialect.cell(ref.attr, here.alias)
        return (
            f"(SELECT {dialect.collect(value)} FROM {', '.join(tables)} WHERE {all_of(parts).text})"
        )

    def _alternative(self, alternative: Alternative, place: Place) -> Fragment:
        parts: list[Fragment] = []
        for part in connected(alternative):
            if part[0].edges:
                parts.append(self._linked(part, place))
            else:
                parts += [self._end(way, place) for way in part]
        return all_of(parts)

    def _end(self, way: Way, place: Place) -> Fragment:
        """What must be true of the entity that a way leads to."""
        if way.test is not None:
            return self.test(way.test, place)
        assert way.absent is not None
        return self._link_test(way.absent.attr, way.absent.is_forward, Op.IS_NULL, True, place)

    def _linked(self, ways: Alternative, place: Place) -> Fragment:
        """There are linked entities, one per variable, for which all `ways` hold.

        There are two forms. `IN (SELECT …)` can start from the linked side; it is used when a test
        there is selective. A correlated EXISTS costs as much as there are outer rows. Where Python
        decides, the first form only narrows, without rules: it reads entities that are linked with
        none of the outer rows, and a rule that fails on these must not end the query.
        """
        root: Variable = (place.etype, 0)
        edges = {edge.key: edge for way in ways for edge in way.edges}
        self._composed.add(len(edges))
        places = {edge.far: Place(self.new_alias(), edge.far[0]) for edge in edges.values()}
        is_judging = self._is_judged(ways, places.values())
        self._is_judging |= is_judging
        tables = list(map(self.table, places.values()))
        from_root = [edge for edge in edges.values() if edge.near == root]
        others = [edge for edge in edges.values() if edge.near != root]
        parts = [self.exists(far.alias) for far in places.values()]
        for edge in others:
            parts.append(self._join(edge, places[edge.near], places[edge.far], tables))
        parts += [self._end(way, places[way.end]) for way in ways]
        outside: list[Fragment] = []
        for edge in () if self.is_open else edges.values():
            if edge.hop.is_forward and edge.near == root:
                outside.append(self.shown(edge.hop.attr, place))
            else:
                source = places[edge.near if edge.hop.is_forward else edge.far]
                parts.append(self.shown(edge.hop.attr, source))
        parts += [] if self.is_open else map(self.visible, places.values())
        is_narrowed = len(from_root) == 1 and any(map(is_selective, ways))
        if is_narrowed and not is_judging:
            edge = from_root[0]
            left, right = self._membership(edge.hop, place, places[edge.far], tables, parts)
            inside = all_of(parts)
            found = Fragment(
                f"{left} IN (SELECT {right} FROM {', '.join(tables)} WHERE {inside.text})",
                inside.bindings,
            )
        else:
            joins = [self._join(edge, place, places[edge.far], tables) for edge in from_root]
            inside = all_of([*joins, *parts])
            select = f"SELECT 1 FROM {', '.join(tables)} WHERE {inside.text}"
            found = Fragment(self._exists(select), inside.bindings)
            if is_narrowed:
                narrow = Composer(self.catalog, self.dialect, composed=self._composed)
                narrow._aliases = self._aliases
                outside.insert(0, narrow._linked(tuple(filter(is_selective, ways)), place))
        return all_of([*outside, found])

    def _is_judged(self, ways: Alternative, far: Iterable[Place]) -> bool:
        """Whether Python decides any condition that `ways` read on linked entities."""
        if self.is_open:
            return False
        attrs = [edge.hop.attr for way in ways for edge in way.edges]
        attrs += [way.test.attr for way in ways if way.test is not None and not way.test.attr.is_id]
        scopes = [self._visibility.entities(place.etype) for place in far]
        scopes += map(self._visibility.field, attrs)
        return any(map(is_judged, scopes))

    def _exists(self, select: str) -> str:
        return self.dialect.exists(select, is_judging=self._is_judging)

    def _join(self, edge: Edge, near: Place, far: Place, tables: list[str]) -> Fragment:
        """Tie two rows by a link, adding its table of pairs to `tables` if it has one."""
        attr, is_forward, dialect = edge.hop.attr, edge.hop.is_forward, self.dialect
        near_id, far_id = dialect.entity_id(near.alias), dialect.entity_id(far.alias)
        if attr.is_pairs:
            alias = self.new_alias()
            tables.append(dialect.links(attr, alias))
            near_end, far_end = self.ends(attr, alias, is_forward=is_forward)
            return Fragment(f"{near_end} = {near_id} AND {far_end} = {far_id}")
        if is_forward:
            near_id = dialect.cell(attr, near.alias)
        else:
            far_id = dialect.cell(attr, far.alias)
        return Fragment(f"{far_id} = {near_id}")

    def _membership(
        self, hop: Hop, near: Place, far: Place, tables: list[str], parts: list[Fragment]
    ) -> tuple[str, str]:
        """The two sides of `near IN (SELECT far …)` for the first link of a path."""
        attr, dialect = hop.attr, self.dialect
        near_id, far_id = dialect.entity_id(near.alias), dialect.entity_id(far.alias)
        if attr.is_pairs:
            alias = self.new_alias()
            tables.append(dialect.links(attr, alias))
            near_end, far_end = self.ends(attr, alias, is_forward=hop.is_forward)
            parts.append(Fragment(f"{far_end} = {far_id}"))
            return near_id, near_end
        if hop.is_forward:
            return dialect.cell(attr, near.alias), far_id
        return near_id, dialect.cell(attr, far.alias)

    def ends(self, attr: Attr, alias: str, *, is_forward: bool) -> tuple[str, str]:
        """The near and the far end in a row of a link's pairs, in the direction it is walked."""
        source, target = self.dialect.source(attr, alias), self.dialect.target(attr, alias)
        return (source, target) if is_forward else (target, source)

    def test(self, test: Test, place: Place) -> Fragment:
        """The entity at `place`, which exists, passes the test (whose path is walked)."""
        if test.attr.is_ref:
            return self._link_test(test.attr, test.is_forward, test.op, test.value, place)
        if test.attr.is_id:
            own_id = self.dialect.entity_id(place.alias)
            return id_test(self.dialect, test.op, test.value, own_id)
        found = self._value_test(test, place)
        return if_shown(found, self.shown(test.attr, place), is_hidden_enough=holds_hidden(test))

    def _link_test(
        self, attr: Attr, is_forward: bool, op: Op, value: Binding, place: Place
    ) -> Fragment:
        """A test of a link: against ids, or for its absence."""
        if not is_forward:
            return self._pairs_test(attr, is_forward, op, value, place)
        found = (
            self._pairs_test(attr, is_forward, op, value, place)
            if attr.is_pairs
            else link_test(self.dialect, op, value, self.dialect.cell(attr, place.alias))
        )
        is_hidden_enough = op is Op.NOT or (op is Op.IS_NULL and bool(value))
        return if_shown(found, self.shown(attr, place), is_hidden_enough=is_hidden_enough)

    def _pairs_test(
        self, attr: Attr, is_forward: bool, op: Op, value: Binding, place: Place
    ) -> Fragment:
        """A test of a link that is no column of the entity at `place`."""
        alias = self.new_alias()
        near, far = self.ends(attr, alias, is_forward=is_forward)
        table = self.dialect.links(attr, alias)
        own_id = self.dialect.entity_id(place.alias)
        held = TRUE if is_forward else self.holder(attr, alias)
        rest = "" if held is TRUE else f" AND {held.text}"
        linked = f"SELECT 1 FROM {table} WHERE {near} = {own_id}"
        match op:
            case Op.EQ:
                return Fragment(
                    f"{own_id} IN (SELECT {near} FROM {table} WHERE {far} = ?{rest})",
                    (value, *held.bindings),
                )
            case Op.IN:
                inside = in_ids(self.dialect, far, value)
                return Fragment(
                    f"{own_id} IN (SELECT {near} FROM {table} WHERE {inside.text}{rest})",
                    (*inside.bindings, *held.bindings),
                )
            case Op.NOT:
                return Fragment(
                    f"(EXISTS ({linked} AND {far} <> ?{rest}) OR NOT EXISTS ({linked}{rest}))",
                    (value, *held.bindings, *held.bindings),
                )
            case Op.IS_NULL:
                text = f"NOT EXISTS ({linked}{rest})" if value else self._exists(f"{linked}{rest}")
                return Fragment(text, held.bindings)
            case _:
                raise AssertionError(f"{op} on a link passed the parser")

    def _value_test(self, test: Test, place: Place) -> Fragment:
        attr, op = test.attr, test.op
        operand = self.dialect.cell(attr, place.alias)
        match op:
            case Op.IS_NULL:
                return null_test(attr, operand, is_null=test.value)
            case Op.EQ | Op.NOT:
                compared, cell = self._comparable(attr, test.value, place)
                sign = "=" if op is Op.EQ else "IS DISTINCT FROM"
                return Fragment(f"{compared} {sign} ?", (cell,))
            case Op.IN:
                return self._value_in(attr, test.value, place)
            case Op.GT | Op.GTE | Op.LT | Op.LTE:
                compared, cell = self._comparable(attr, test.value, place)
                return Fragment(f"{compared} {_COMPARISONS[op]} ?", (cell,))
            case Op.LIKE | Op.ILIKE:
                if "%" in test.value[:-1]:
                    self._composed.pattern(len(test.value))
                text, pattern = self.dialect.like(
                    operand, pattern=test.value, is_case_sensitive=op is Op.LIKE
                )
                return Fragment(text, (pattern,))
            case _:
                assert_never(op)

    def _value_in(self, attr: Attr, values: Sequence[object], place: Place) -> Fragment:
        self._composed.add(0, values=len(values))
        operand = self.dialect.cell(attr, place.alias)
        found = [self._comparable(attr, value, place) for value in values if value is not None]
        cells = tuple(dict.fromkeys(cell for _, cell in found))
        parts: list[Fragment] = []
        if len(cells) == 1:
            parts.append(Fragment(f"{found[0][0]} = ?", cells))
        elif cells:
            marks = ", ".join("?" * len(cells))
            parts.append(Fragment(f"{found[0][0]} IN ({marks})", cells))
        if len(found) < len(values):
            parts.append(null_test(attr, operand, is_null=True))
        return any_of(parts)

    def _comparable(self, attr: Attr, value: object, place: Place) -> tuple[str, Cell]:
        """The operand to compare `value` with, and `value` in the same form.

        Indexed dates compare as instants; everything else as it is stored.
        """
        cell = encode_cell(value, is_indexed=attr.is_indexed)
        if is_by_instant(attr):
            return self.dialect.order_cell(attr, place.alias), compared_cell(attr, cell)
        return self.dialect.cell(attr, place.alias), cell
