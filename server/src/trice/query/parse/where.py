"""The `where` of a form: JSON to checked conditions. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.dates import instant_us, is_date_text
from trice.catalog.system import URL_ATTR
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import json_type, quote
from trice.query.ast import AllOf, AnyOf, Condition, Hop, IdPrefix, Never, Op, Scope, Test
from trice.query.parse.source import Place, Source, is_scalar

ID_PREFIX_KEY: Final = "$entityIdStartsWith"

OPERATORS: Final[Mapping[str, Op]] = {
    "$in": Op.IN,
    "in": Op.IN,
    "$not": Op.NOT,
    "$ne": Op.NOT,
    "$isNull": Op.IS_NULL,
    "$gt": Op.GT,
    "$gte": Op.GTE,
    "$lt": Op.LT,
    "$lte": Op.LTE,
    "$like": Op.LIKE,
    "$ilike": Op.ILIKE,
}

_NOTHING: Final = AnyOf(())
_EVERYTHING: Final = AllOf(())
_UUID_SHAPE: Final = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_HEX: Final = re.compile(r"[0-9a-f]", re.ASCII)


def parse_where(source: Source, given: Any, *, etype: str, place: Place, depth: int = 0) -> Scope:
    """Check a `where` object against the attrs of `etype`.

    place   the place of the object; its coerced part points at the list of conditions
    depth   how many lists are around it
    raises  InvalidInput, naming the path and the broken rule (instant-semantics §2.3)
    """
    if not isinstance(given, Mapping):
        raise source.failure(
            place,
            f"`where` must be an object of conditions. Got {quote(given)}.",
            expected="map?",
        )
    if depth > limits.QUERY_DEPTH_MAX:
        raise source.failure(
            place,
            f"`and` and `or` may nest {limits.QUERY_DEPTH_MAX} levels deep.",
            expected="supported-depth?",
        )
    if depth and not given:
        # An empty object in a list must count too.
        source.count_condition(place)
    conditions: list[Condition] = []
    unknown: list[Condition] = []
    for index, (key, value) in enumerate(given.items()):
        at = place.key(key).part(index, 1)
        if key in ("or", "and") and isinstance(value, list):
            listed = _lists(source, key, value, etype=etype, place=at, depth=depth)
            conditions.append(listed)
            # On clients an unknown name empties the whole form, even if it is one alternative.
            unknown += _unknown(listed)
        elif key == ID_PREFIX_KEY:
            source.count_condition(at)
            conditions.append(_id_prefix(source, value, place=at))
        else:
            conditions.extend(_tests(source, key, value, etype=etype, place=at))
    return (*unknown, *conditions)


def _unknown(listed: AllOf | AnyOf) -> list[Condition]:
    return [
        condition for scope in listed.scopes for condition in scope if isinstance(condition, Never)
    ]


def _lists(
    source: Source, key: str, given: list[Any], *, etype: str, place: Place, depth: int
) -> AllOf | AnyOf:
    source.count_condition(place)
    if not given:
        raise source.failure(
            place, f"The list for `{key}` can't be empty.", expected="non-empty-list?"
        )
    scopes = tuple(
        parse_where(source, item, etype=etype, place=place.key(index).part(index), depth=depth + 1)
        for index, item in enumerate(given)
    )
    return AnyOf(scopes) if key == "or" else AllOf(scopes)


def _id_prefix(source: Source, given: Any, *, place: Place) -> Condition:
    if not isinstance(given, str):
        raise source.shape_failure(
            place,
            f"`{ID_PREFIX_KEY}` takes the beginning of an id as text. Got {quote(given)}.",
            expected="string?",
        )
    prefix = given.lower()
    if not prefix:
        return _EVERYTHING
    if len(prefix) > len(_UUID_SHAPE):
        return _NOTHING
    for char, shape in zip(prefix, _UUID_SHAPE, strict=False):
        if (char != "-") if shape == "-" else (_HEX.fullmatch(char) is None):
            return _NOTHING
    return IdPrefix(prefix)


def _tests(source: Source, key: str, given: Any, *, etype: str, place: Place) -> list[Condition]:
    """The tests of one key: all operators of its object apply to the value at its path."""
    source.count_condition(place)
    operations = _operations(source, key, given, place=place)
    found = _resolve(source, key, etype=etype, place=place)
    if isinstance(found, Never):
        return [found]
    path, attr, is_forward = found
    if attr.id == URL_ATTR:
        raise source.failure(
            place,
            f"`{key}` is computed for each answer, so `where` cannot test it. Use `path` or"
            " `location-id`.",
            expected="stored-attr?",
        )
    tests: list[Condition] = []
    for index, (name, op, value) in enumerate(operations):
        if index:
            source.count_condition(place)
        at = place.key(name) if name else place
        if attr.is_ref:
            op, value = _check_ids(source, key, op, value, attr=attr, place=place)
        else:
            _check_value(source, attr, op, value, place=place, op_place=at)
        if attr.is_id:
            op, value = _as_ids(op, value)
        tests.append(Test(path, attr, is_forward, op, value))
    return tests


def _operations(source: Source, key: str, given: Any, *, place: Place) -> list[tuple[str, Op, Any]]:
    """The operators of a condition with the name each was written under ("" for equality)."""
    if is_scalar(given):
        return [("", Op.EQ, given)]
    if not isinstance(given, Mapping):
        raise source.shape_failure(
            place,
            f"The condition on `{key}` must be text, a number, true, false or an object of "
            f"operators. Got {quote(given)}."
            + (' Use {"$isNull": true} to match null.' if given is None else ""),
            expected="where-value?",
        )
    if not given:
        raise _unknown_operator(source, key, given, place=place)
    operations: list[tuple[str, Op, Any]] = []
    for name, value in given.items():
        op = OPERATORS.get(name)
        if op is None:
            raise _unknown_operator(source, key, given, place=place)
        _check_shape(source, key, name, op, value, place=place.part(name.lstrip("$")))
        operations.append((name, op, value))
    return operations


def _unknown_operator(
    source: Source, key: str, given: Mapping[str, Any], *, place: Place
) -> Exception:
    names = ", ".join(f"`{name}`" for name in OPERATORS if name != "in")
    return source.shape_failure(
        place,
        f"The condition on `{key}` must use the operators {names}. Got {quote(list(given))}.",
        expected="where-value-valid-keys?",
    )


def _check_shape(source: Source, key: str, name: str, op: Op, value: Any, *, place: Place) -> None:
    match op:
        case Op.IN:
            if not isinstance(value, list):
                raise source.shape_failure(
                    place,
                    f"`{name}` on `{key}` takes a list. Got {quote(value)}.",
                    expected="vector?",
                )
            source.count_values(place, len(value))
            for item in value:
                if item is not None and not is_scalar(item):
                    raise source.shape_failure(
                        place,
                        f"The list of `{name}` on `{key}` may hold text, numbers, true, false and "
                        f"null. Got {quote(item)}.",
                        expected="where-value?",
                    )
        case Op.IS_NULL:
            if not isinstance(value, bool):
                raise source.shape_failure(
                    place,
                    f"`{name}` on `{key}` takes true or false. Got {quote(value)}.",
                    expected="boolean?",
                )
        case Op.LIKE | Op.ILIKE:
            # It is checked together with the attr's type, where Instant reports it.
            return
        case _:
            if not is_scalar(value):
                raise source.shape_failure(
                    place,
                    f"`{name}` on `{key}` takes text, a number, true or false. Got {quote(value)}.",
                    expected="where-value?",
                )


def _resolve(
    source: Source, key: str, *, etype: str, place: Place
) -> tuple[tuple[Hop, ...], Attr, bool] | Never:
    """Follow a dotted path through the catalog; return its links, the last attr, its direction."""
    if key.count(".") > limits.QUERY_DEPTH_MAX:
        raise source.failure(
            place,
            f"A path may walk {limits.QUERY_DEPTH_MAX} links.",
            expected="supported-depth?",
        )
    *links, last = key.split(".")
    source.count_links(place, len(links))
    path: list[Hop] = []
    for label in links:
        hop = find_hop(source, etype, label, place=place)
        if hop is None:
            return Never(etype, label)
        path.append(hop)
        etype = hop.etype
    attr = source.catalog.find_forward(etype, last)
    if attr is not None:
        return tuple(path), attr, True
    attr = source.catalog.find_reverse(etype, last)
    return (tuple(path), attr, False) if attr is not None else Never(etype, last)


def find_hop(source: Source, etype: str, label: str, *, place: Place) -> Hop | None:
    """The link that `etype` calls `label`; None when there is no such name.

    raises  InvalidInput when the name is no link
    """
    attr = source.catalog.find_forward(etype, label)
    if attr is not None:
        if attr.reverse is None or not attr.is_ref:
            raise source.no_link(place, attr)
        return Hop(attr, True, attr.reverse.etype)
    attr = source.catalog.find_reverse(etype, label)
    return None if attr is None else Hop(attr, False, attr.etype)


def _check_ids(
    source: Source, key: str, op: Op, value: Any, *, attr: Attr, place: Place
) -> tuple[Op, Any]:
    """The ids that a link is compared with, as bytes."""
    match op:
        case Op.IS_NULL:
            return op, value
        case Op.EQ | Op.NOT:
            found = find_uuid_bytes(value)
            if found is None:
                raise source.failure(
                    place,
                    f"Expected {key} to be a uuid, got {quote(value)}",
                    expected="uuid?",
                )
            return op, found
        case Op.IN:
            ids = [find_uuid_bytes(item) for item in value]
            if None in ids:
                wrong = value[ids.index(None)]
                raise source.failure(
                    place,
                    f"Expected {key} to match on a uuid, found {quote(wrong)} in {quote(value)}",
                    expected="uuid?",
                )
            return op, tuple(dict.fromkeys(ids))
        case _:
            raise _not_comparable(source, attr, op, place=place)


def _as_ids(op: Op, value: Any) -> tuple[Op, Any]:
    """A test of the id attr with ids as bytes; text that is no uuid is the id of no entity."""
    match op:
        case Op.EQ:
            found = find_uuid_bytes(value)
            return (Op.IN, ()) if found is None else (op, found)
        case Op.NOT:
            found = find_uuid_bytes(value)
            return (Op.IS_NULL, False) if found is None else (op, found)
        case Op.IN:
            ids = (find_uuid_bytes(item) for item in value)
            return op, tuple(dict.fromkeys(found for found in ids if found is not None))
        case _:
            return op, value


def _check_value(
    source: Source, attr: Attr, op: Op, value: Any, *, place: Place, op_place: Place
) -> None:
    match op:
        case Op.IS_NULL:
            return
        case Op.EQ | Op.NOT:
            _check_type(source, attr, value, place=place)
        case Op.IN:
            for item in value:
                if item is not None:
                    _check_type(source, attr, item, place=place)
                elif not attr.is_indexed and not attr.is_id:
                    raise source.failure(
                        place,
                        f"Only indexed attrs can check for `null` in `$in`, and `{attr.name}` "
                        f'is not indexed. Use {{"or": [… {{"$isNull": true}}]}} instead.',
                    )
        case Op.LIKE | Op.ILIKE:
            if not attr.is_sortable or attr.is_id:
                raise _not_comparable(source, attr, op, place=place)
            if attr.checked_type != "string":
                raise source.failure(
                    op_place,
                    f"`{op.value}` works on attributes of type `string`, and `{attr.name}` is "
                    f"of type `{attr.checked_type}`.",
                    wanted="string?",
                )
            if not isinstance(value, str) or not is_scalar(value):
                raise source.failure(
                    op_place,
                    f"The value of `{op.value}` must be a string. Got {quote(value)}.",
                    wanted="string?",
                )
            if len(value) > limits.LIKE_PATTERN_CHARS_MAX:
                raise source.failure(
                    op_place,
                    f"The pattern of `{op.value}` has {len(value)} characters; "
                    f"{limits.LIKE_PATTERN_CHARS_MAX} are accepted.",
                    expected="supported-size?",
                )
            source.count_pattern(value)
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            if not attr.is_sortable or attr.is_id:
                raise _not_comparable(source, attr, op, place=place)
            _check_type(source, attr, value, place=op_place)


def _not_comparable(source: Source, attr: Attr, op: Op, *, place: Place) -> Exception:
    if not attr.is_indexed or attr.is_ref or attr.is_id:
        return source.failure(
            place,
            f"The `{attr.name}` attribute must be indexed to use the `{op.value}` operator.",
            wanted="indexed?",
        )
    return source.failure(
        place,
        f"The `{attr.name}` attribute must have an enforced type to use the `{op.value}` operator.",
        wanted="checked-data-type?",
    )


def _check_type(source: Source, attr: Attr, value: Any, *, place: Place) -> None:
    """Refuse a value that an attr with a checked type can never hold."""
    match attr.checked_type:
        case None:
            return
        case "date":
            _check_date(source, attr, value, place=place)
        case checked:
            if json_type(value) != checked:
                raise source.failure(
                    place,
                    f"The data type of `{attr.name}` is `{checked}`, but the query got "
                    f"`{quote(value)}` of type `{json_type(value)}`.",
                    wanted=f"{checked}?",
                )


def _check_date(source: Source, attr: Attr, value: Any, *, place: Place) -> None:
    if isinstance(value, str):
        is_right = is_date_text(value, is_stored=False) and instant_us(value) is not None
    else:
        is_right = not isinstance(value, bool) and instant_us(value) is not None
    if not is_right:
        raise source.failure(
            place,
            f"The data type of `{attr.name}` is `date`, but the query got `{quote(value)}` of type "
            f"`{json_type(value)}`. Send milliseconds since 1970 or an ISO 8601 date.",
            wanted="date-string?" if isinstance(value, str) else "timestamp?",
        )
