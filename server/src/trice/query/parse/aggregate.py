"""The object form of `aggregate`: JSON to a checked Aggregate. No I/O.

`{"count": true, "sum": "minutes", "avg": ["minutes", "price"], "groupBy": "status"}`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.protocol.quoting import quote
from trice.query.ast import Aggregate, Measure, MeasureOp
from trice.query.parse.source import Place, Source

COUNT: Final = "count"
GROUP_BY: Final = "groupBy"
_NAMES: Final = (COUNT, *(op.value for op in MeasureOp), GROUP_BY)


def parse_aggregate(
    source: Source, given: Mapping[str, Any], *, etype: str, place: Place
) -> Aggregate:
    """Check the options of one aggregate.

    etype   namespace of the entities that are counted; it need not exist
    raises  InvalidInput("validation-failed")
    """
    for name in given:
        if name not in _NAMES:
            names = ", ".join(f"`{name}`" for name in _NAMES)
            raise source.failure(
                place,
                f"{quote(name)} is no aggregate. Supported are {names}.",
                expected="supported-aggregate?",
            )
    wanted = {
        name: value for name, value in given.items() if value is not None and value is not False
    }
    if wanted.get(COUNT, True) is not True:
        raise source.failure(
            place.key(COUNT),
            f"`count` must be true or false. Got {quote(wanted[COUNT])}.",
            expected="boolean?",
        )
    measures = tuple(
        Measure(op, label, _measured(source, op, etype, label, place=place.key(op.value)))
        for op in MeasureOp
        for label in _labels(source, wanted.get(op.value), place=place.key(op.value))
    )
    if len(measures) > limits.AGGREGATE_MEASURES_MAX:
        raise source.failure(
            place,
            f"An aggregate may name {limits.AGGREGATE_MEASURES_MAX} attributes, all together; this"
            f" one names {len(measures)}.",
            expected="supported-size?",
        )
    if COUNT not in wanted and not measures:
        raise source.failure(
            place,
            "An aggregate must ask for at least one of `count`, `sum`, `avg`, `min` and `max`,"
            ' such as {"count": true}.',
            expected="supported-aggregate?",
        )
    return Aggregate(
        is_counting=COUNT in wanted,
        measures=measures,
        is_grouped=GROUP_BY in wanted,
        group=_group(source, etype, wanted.get(GROUP_BY), place=place.key(GROUP_BY)),
    )


def _labels(source: Source, given: Any, *, place: Place) -> list[str]:
    """The labels of one measure, each once; empty if none is given."""
    if given is None:
        return []
    labels = given if isinstance(given, list) else [given]
    source.count_values(place, len(labels))
    if not all(isinstance(label, str) for label in labels):
        raise source.failure(
            place,
            f"`{place.path[-1]}` takes the name of an attribute, or a list of names. Got"
            f" {quote(given)}.",
            expected="array?",
        )
    return list(dict.fromkeys(labels))


def _measured(
    source: Source, op: MeasureOp, etype: str, label: str, *, place: Place
) -> Attr | None:
    """The attr that is measured; None when there is no such field (yet)."""
    attr = source.catalog.find_name(etype, label)
    if attr is None:
        return None
    types: tuple[str, ...] = ("number",)
    wanted = "numbers"
    if op in (MeasureOp.MIN, MeasureOp.MAX):
        types, wanted = ("number", "string", "date"), "numbers, strings and dates"
    is_typed = attr.checked_type is not None
    if attr.is_ref or attr.is_id or (is_typed and attr.checked_type not in types):
        kind = "a link" if attr.is_ref else "an id" if attr.is_id else f"a {attr.checked_type}"
        raise source.failure(
            place,
            f"`{op.value}` works on {wanted}, and on the numbers of an attribute without a type."
            f" `{etype}.{label}` is {kind}.",
            expected="supported-aggregate?",
        )
    return attr


def _group(source: Source, etype: str, label: Any, *, place: Place) -> Attr | None:
    """The attr whose values make the groups; None when there is no such name (yet)."""
    if label is None:
        return None
    if not isinstance(label, str):
        raise source.failure(
            place,
            f"`groupBy` takes the name of one attribute. Got {quote(label)}.",
            expected="string?",
        )
    attr = source.catalog.find_name(etype, label)
    if attr is None:
        return None
    if attr.is_id or attr.is_pairs or source.catalog.find_forward(etype, label) is not attr:
        raise source.failure(
            place,
            "`groupBy` works on fields, and on links to at most one entity from the side that"
            f" holds them. `{etype}.{label}` is {'the id' if attr.is_id else 'another link'}.",
            expected="supported-group?",
        )
    return attr
