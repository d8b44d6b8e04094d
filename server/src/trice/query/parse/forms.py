"""InstaQL: JSON to a checked Query, every name resolved, every error with its path. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.protocol.quoting import quote
from trice.query.ast import Aggregate, Cut, Form, Hop, Order, Page, Query
from trice.query.cost import Spend, free
from trice.query.cursor import CREATED_LABEL, parse_cursor
from trice.query.parse.aggregate import parse_aggregate
from trice.query.parse.source import Place, Source
from trice.query.parse.where import find_hop, parse_where

RULE_PARAMS: Final = "$$ruleParams"
OPTIONS: Final = "$"

_OPTION_NAMES: Final = (
    "where",
    "order",
    "limit",
    "first",
    "last",
    "offset",
    "before",
    "after",
    "beforeInclusive",
    "afterInclusive",
    "fields",
    "aggregate",
)
_LIMITS: Final = ("limit", "first", "last")
_PAGING: Final = ("order", "limit", "first", "last", "offset", "before", "after")
_TOP_ONLY: Final = ("offset", "before", "after")
_OFFSET_MAX: Final = 2**62


def parse(
    source: Any,
    catalog: Catalog,
    *,
    is_admin: bool,
    is_function: bool = False,
    spend: Spend = free,
) -> Query:
    """Check an InstaQL object.

    source    JSON as received: `{"todos": {"$": {"where": {…}}, "owner": {}}, …}`
    catalog   what names mean; an unknown name is no error, but finds nothing (instant-semantics
              §2.2)
    is_admin  `aggregate: "count"` is for admins, as in Instant
    is_function  nested limits cut (FN740), else they change nothing; `created` is an option, the
              label under which nested objects tell when they were created (FN742)
    spend     counts the cost, in steps (`query.cost`); an exception from it ends the parsing
    raises    InvalidInput("validation-failed"), with the entries of instant-semantics §2.3
    """
    checker = Source(source, catalog, is_admin=is_admin, is_function=is_function, spend=spend)
    top = Place((), ())
    if not isinstance(source, Mapping):
        raise checker.failure(
            top, f"A query must be an object. Got {quote(source)}.", expected="map?"
        )
    rule_params = source.get(RULE_PARAMS)
    if rule_params is not None and not isinstance(rule_params, Mapping):
        raise checker.failure(
            top.key(RULE_PARAMS),
            f"`{RULE_PARAMS}` must be an object. Got {quote(rule_params)}.",
            expected="map?",
        )
    forms = tuple(
        _top_form(checker, label, given, place=top.key(label).part(index))
        for index, (label, given) in enumerate(
            item for item in source.items() if item[0] != RULE_PARAMS
        )
    )
    return Query(forms=forms, rule_params=dict(rule_params or {}), size=checker.size)


def _top_form(source: Source, etype: str, given: Any, *, place: Place) -> Form:
    namespace = source.catalog.namespaces.get(etype)
    is_known = namespace is not None and namespace.id_attr is not None
    return _form(
        source, etype, given, etype=etype, via=None, is_known=is_known, place=place, depth=0
    )


def _form(
    source: Source,
    label: str,
    given: Any,
    *,
    etype: str,
    via: Hop | None,
    is_known: bool,
    place: Place,
    depth: int,
) -> Form:
    """Check one level. depth: 0 at the top."""
    source.count_form(place, depth)
    if not isinstance(given, Mapping):
        raise source.failure(
            place,
            f"`{label}` must be an object, such as {{}}. Got {quote(given)}.",
            expected="map?",
        )
    options = _options(source, given.get(OPTIONS, {}), is_top=depth == 0, place=place.key(OPTIONS))
    at = place.key(OPTIONS).part("option-map")
    order = _order(source, options.get("order"), etype=etype, is_known=is_known, place=at)
    where = parse_where(
        source,
        options.get("where", {}),
        etype=etype,
        place=at.key("where").part("where-conds"),
    )
    children = tuple(
        _child_form(source, key, value, etype=etype, place=place, index=index, depth=depth + 1)
        for index, (key, value) in enumerate(item for item in given.items() if item[0] != OPTIONS)
    )
    page = _page(source, options, order=order, etype=etype, place=at) if depth == 0 else None
    return Form(
        label=label,
        etype=etype,
        via=via,
        where=where,
        order=order,
        page=page,
        fields=_fields(source, options.get("fields"), etype=etype, place=at.key("fields")),
        is_count=_is_count(source, options, given, is_top=depth == 0, place=at),
        is_known=is_known,
        children=children,
        aggregate=_aggregate(source, options, given, etype=etype, is_top=depth == 0, place=at),
        cut=_cut(options) if depth > 0 and source.is_function else None,
        created=_created(source, options.get("created"), etype=etype, place=at),
    )


def _child_form(
    source: Source, label: str, given: Any, *, etype: str, place: Place, index: int, depth: int
) -> Form:
    at = place.key(label).part("child-forms", index)
    hop = find_hop(source, etype, label, place=at)
    target = hop.etype if hop is not None else ""
    namespace = source.catalog.namespaces.get(target)
    return _form(
        source,
        label,
        given,
        etype=target,
        via=hop,
        is_known=namespace is not None and namespace.id_attr is not None,
        place=at,
        depth=depth,
    )


def _options(source: Source, given: Any, *, is_top: bool, place: Place) -> dict[str, Any]:
    """The options that are set: null and false count as absent."""
    if not isinstance(given, Mapping):
        raise source.failure(
            place, f"`$` must be an object of options. Got {quote(given)}.", expected="map?"
        )
    for name in given:
        if name not in _OPTION_NAMES and not (source.is_function and name == "created"):
            raise source.failure(
                place,
                f"{quote(name)} is not an option. Supported are "
                + ", ".join(f"`{option}`" for option in _OPTION_NAMES)
                + ".",
                expected="supported-options?",
            )
    options = {
        name: value
        for name, value in given.items()
        if value is not None and (value is not False or name.endswith("Inclusive"))
    }
    if not is_top:
        for name in _TOP_ONLY:
            if name in options:
                raise source.failure(
                    place,
                    f"`{name}` is only supported on the top-level field, not in nested forms.",
                    expected="supported-options?",
                )
    _check_limits(source, options, place=place)
    return options


def _check_limits(source: Source, options: Mapping[str, Any], *, place: Place) -> None:
    for name in _LIMITS:
        value = options.get(name)
        if value is not None and (type(value) is not int or value <= 0):
            raise source.failure(
                place.key(name),
                f"The `{name}` field must be a positive integer. Got {quote(value)}.",
                expected="supported-options?",
            )
    offset = options.get("offset")
    if offset is not None and (type(offset) is not int or offset < 0):
        raise source.failure(
            place.key("offset"),
            f"The `offset` field must be a non-negative integer. Got {quote(offset)}.",
            expected="supported-options?",
        )
    limits_given = [name for name in _LIMITS if name in options]
    if len(limits_given) > 1:
        names = " or ".join(f"`{name}`" for name in limits_given)
        raise source.failure(place, f"Only provide one of {names}.", expected="supported-options?")
    for name in ("beforeInclusive", "afterInclusive"):
        if name in options and not isinstance(options[name], bool):
            raise source.failure(
                place.key(name),
                f"`{name}` must be true or false. Got {quote(options[name])}.",
                expected="boolean?",
            )


def _order(source: Source, given: Any, *, etype: str, is_known: bool, place: Place) -> Order | None:
    at = place.key("order")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise source.failure(
            at,
            f'`order` must be an object such as {{"{CREATED_LABEL}": "desc"}}. Got {quote(given)}.',
            expected="map?",
        )
    if not given:
        return None
    if len(given) > 1:
        raise source.failure(
            at,
            f"`order` takes a single key only. Got {quote(','.join(islice(given, 10)))}.",
            expected="single-key?",
        )
    (label, direction) = next(iter(given.items()))
    if direction not in ("asc", "desc"):
        raise source.failure(
            at.key(label),
            f'`order` takes only "asc" or "desc". Got {quote(direction)}.',
            expected="valid-direction?",
        )
    attr = None if label == CREATED_LABEL or not is_known else _order_attr(source, etype, label, at)
    return Order(attr, direction == "desc")


def _order_attr(source: Source, etype: str, label: str, place: Place) -> Attr:
    attr = source.catalog.find_name(etype, label)
    if attr is None:
        raise source.failure(
            place,
            f"There is no `{label}` attribute for {etype}.",
            expected="supported-order?",
        )
    if not attr.is_sortable or attr.is_id:
        raise source.failure(
            place,
            f"Only indexed and typed attributes can be used to order by, and `{etype}.{label}` is "
            f"not both. To order by creation, use `{CREATED_LABEL}`.",
            expected="supported-order?",
        )
    return attr


def _page(
    source: Source, options: Mapping[str, Any], *, order: Order | None, etype: str, place: Place
) -> Page | None:
    if not any(name in options for name in _PAGING):
        return None
    limit = next((options[name] for name in _LIMITS if name in options), None)
    after, before = (
        parse_cursor(source, options[name], order=order, etype=etype, place=place.key(name))
        if name in options
        else None
        for name in ("after", "before")
    )
    return Page(
        limit=None if limit is None else min(limit, limits.QUERY_ROWS_MAX),
        is_last="last" in options,
        offset=min(options.get("offset", 0), _OFFSET_MAX),
        after=after,
        before=before,
        is_after_inclusive=options.get("afterInclusive", False),
        is_before_inclusive=options.get("beforeInclusive", False),
    )


def _cut(options: Mapping[str, Any]) -> Cut | None:
    """What a nested form says about how many rows it wants."""
    limit = next((options[name] for name in _LIMITS if name in options), None)
    return None if limit is None else Cut(min(limit, limits.QUERY_ROWS_MAX), "last" in options)


def _created(source: Source, given: Any, *, etype: str, place: Place) -> str | None:
    if given is None:
        return None
    if (
        not isinstance(given, str)
        or given in ("", "id")
        or source.catalog.find_name(etype, given) is not None
    ):
        raise source.failure(
            place.key("created"),
            f"`created` is a label that {etype} does not have. Got {quote(given)}.",
            expected="supported-options?",
        )
    return given


def _fields(source: Source, given: Any, *, etype: str, place: Place) -> tuple[Attr, ...] | None:
    if given is None:
        return None
    if isinstance(given, list):
        source.count_values(place, len(given))
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise source.failure(
            place,
            f"`fields` should be an array of field names. Got {quote(given)}.",
            expected="array?",
        )
    found = (source.catalog.find_forward(etype, name) for name in dict.fromkeys(given))
    return tuple(
        attr for attr in found if attr is not None and not attr.is_id and not attr.is_pairs
    )


def _is_count(
    source: Source,
    options: Mapping[str, Any],
    form: Mapping[str, Any],
    *,
    is_top: bool,
    place: Place,
) -> bool:
    given = options.get("aggregate")
    if given is None or isinstance(given, Mapping):
        return False
    at = place.key("aggregate")
    if given != "count" or not is_top:
        raise source.failure(
            at,
            '`aggregate` only accepts "count" or an object such as {"count": true, "sum":'
            f' "price"}}, on the top-level field. Got {quote(given)}.',
            expected="supported-options?",
        )
    if not source.is_admin:
        raise source.failure(
            at,
            '`aggregate: "count"` is only available for admin queries; {"count": true} is for'
            " everybody.",
            expected="admin?",
        )
    _check_childless(source, form, at)
    return True


def _aggregate(
    source: Source,
    options: Mapping[str, Any],
    form: Mapping[str, Any],
    *,
    etype: str,
    is_top: bool,
    place: Place,
) -> Aggregate | None:
    given = options.get("aggregate")
    if not isinstance(given, Mapping):
        return None
    at = place.key("aggregate")
    if not is_top:
        raise source.failure(
            at,
            "`aggregate` is only supported on the top-level field, not in nested forms.",
            expected="supported-options?",
        )
    _check_childless(source, form, at)
    for name in (*_PAGING, "fields"):
        if name in options:
            raise source.failure(
                at,
                f"`aggregate` cannot be combined with `{name}`: it speaks of all matching"
                " entities. Only `where` goes with it.",
                expected="valid-query?",
            )
    return parse_aggregate(source, given, etype=etype, place=at)


def _check_childless(source: Source, form: Mapping[str, Any], place: Place) -> None:
    if any(key != OPTIONS for key in form):
        raise source.failure(
            place, "`aggregate` cannot be combined with nested forms.", expected="valid-query?"
        )
