"""Operators and functions: one table, by name and kinds of arguments. No I/O but time zone data.

A row reads `"string.contains(string) bool": implementation`. `any` stands for every kind. Costly
functions get the budget as first argument, and charge it for what they read and make.

source   the CEL language definition, "List of standard definitions"; spec/cel.md E40-E66
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.cel import arithmetic, patterns, texts, times
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.uint import Uint
from trice.cel.values import (
    KINDS,
    Budget,
    Timestamp,
    Type,
    checked_int,
    checked_uint,
    equal,
    kind_of,
    show,
)

TIME_STEPS: Final = 300
"""The cost of reading a date or looking up a time zone: up to 40 µs, measured."""

_ITEMS_PER_STEP: Final = 8
_CHARS_COMPARED_PER_STEP: Final = 512


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function.

    result      kind of the value it returns; "dyn" when that depends
    call        implementation
    is_costly   `call` takes the budget as first argument
    steps       cost of a call beyond the one step of its node
    """

    result: str
    call: Callable[..., Any]
    is_costly: bool
    steps: int = 0


Overloads = Mapping[tuple[str, ...], Overload]
"""Overloads by the kinds of the arguments, the target first."""


def _item_at(budget: Budget, holder: Any, key: Any) -> Any:
    """`holder[key]` of a list."""
    if type(key) is float:
        if not key.is_integer():
            raise EvaluationError(f"{show(key)} is no index of a list.")
        key = int(key)
    if 0 <= key < len(holder):
        return holder[key]
    raise EvaluationError(
        f"Index {show(key)} lies outside the list, which has {len(holder)} items."
    )


def _look_up(budget: Budget, holder: Any, key: Any) -> Any:
    """`holder[key]` of a map. Data reads as null where it has no such key."""
    if type(holder) is dict:
        return holder.get(key) if type(key) is str else None
    return holder.get(key)


def _in_list(budget: Budget, item: Any, items: Any) -> bool:
    """`item in items`."""
    # Python's own search is right where its `==` equals ours: not for numbers and their containers.
    if item is None or type(item) in (str, bytes):
        long = 0 if item is None else len(item) // _CHARS_COMPARED_PER_STEP
        budget.charge(len(items) // _ITEMS_PER_STEP * (1 + long))
        return item in items
    for other in items:
        budget.charge(2)
        if equal(item, other, budget):
            return True
    return False


def _in_map(budget: Budget, key: Any, holder: Any) -> bool:
    """`key in holder`. Data has every key."""
    return True if type(holder) is dict else key in holder


def _append(budget: Budget, left: Any, right: Any) -> list[Any]:
    size = len(left) + len(right)
    if size > limits.CEL_LIST_ITEMS_MAX:
        raise BudgetExceeded(
            f"The expression makes a list of {size:,} items; at most "
            f"{limits.CEL_LIST_ITEMS_MAX:,} are allowed."
        )
    budget.charge(size // _ITEMS_PER_STEP)
    return [*left, *right]


def _shifted(value: Timestamp, ns: int) -> Timestamp:
    return Timestamp(value.ns + ns)


_PLAIN: Final[dict[str, Callable[..., Any]]] = {
    # operators
    "_+_(int, int) int": lambda a, b: checked_int(a + b),
    "_+_(uint, uint) uint": lambda a, b: checked_uint(a + b),
    "_+_(double, double) double": operator.add,
    "_+_(timestamp, duration) timestamp": lambda a, b: _shifted(a, b.ns),
    "_+_(duration, timestamp) timestamp": lambda a, b: _shifted(b, a.ns),
    "_+_(duration, duration) duration": lambda a, b: times.checked_duration(a.ns + b.ns),
    "_-_(int, int) int": lambda a, b: checked_int(a - b),
    "_-_(uint, uint) uint": lambda a, b: checked_uint(a - b),
    "_-_(double, double) double": operator.sub,
    "_-_(timestamp, duration) timestamp": lambda a, b: _shifted(a, -b.ns),
    "_-_(timestamp, timestamp) duration": lambda a, b: times.checked_duration(a.ns - b.ns),
    "_-_(duration, duration) duration": lambda a, b: times.checked_duration(a.ns - b.ns),
    "_*_(int, int) int": lambda a, b: checked_int(a * b),
    "_*_(uint, uint) uint": lambda a, b: checked_uint(a * b),
    "_*_(double, double) double": arithmetic.multiply_doubles,
    "_/_(int, int) int": arithmetic.divide,
    "_/_(uint, uint) uint": arithmetic.divide_uints,
    "_/_(double, double) double": arithmetic.divide_doubles,
    "_%_(int, int) int": arithmetic.remainder,
    "_%_(uint, uint) uint": lambda a, b: Uint(arithmetic.remainder(a, b)),
    "-_(int) int": lambda a: checked_int(-a),
    "-_(double) double": operator.neg,
    "!_(bool) bool": operator.not_,
    # conversions
    "bool(bool) bool": lambda a: a,
    "bool(string) bool": arithmetic.bool_of_text,
    "int(int) int": lambda a: a,
    "int(uint) int": lambda a: checked_int(int(a)),
    "int(double) int": arithmetic.int_of_double,
    "int(string) int": arithmetic.int_of_text,
    "int(timestamp) int": lambda a: a.ns // times.SECOND_NS,
    "uint(uint) uint": lambda a: a,
    "uint(int) uint": checked_uint,
    "uint(double) uint": arithmetic.uint_of_double,
    "uint(string) uint": arithmetic.uint_of_text,
    "double(double) double": lambda a: a,
    "double(int) double": float,
    "double(uint) double": float,
    "double(string) double": arithmetic.double_of_text,
    "string(string) string": lambda a: a,
    "string(bool) string": lambda a: "true" if a else "false",
    "string(int) string": str,
    "string(uint) string": lambda a: str(int(a)),
    "string(double) string": arithmetic.text_of_double,
    "string(bytes) string": texts.decode,
    "string(timestamp) string": times.write_timestamp,
    "string(duration) string": times.write_duration,
    "bytes(bytes) bytes": lambda a: a,
    "bytes(string) bytes": lambda a: a.encode(errors="replace"),
    "duration(duration) duration": lambda a: a,
    "duration(string) duration": times.read_duration,
    "timestamp(timestamp) timestamp": lambda a: a,
    "type(any) type": lambda a: Type(TYPE_NAMES[kind_of(a)]),
    "dyn(any) dyn": lambda a: a,
    # sizes and parts of strings
    **{f"size({kind}) int": len for kind in ("string", "bytes", "list", "map")},
    **{f"{kind}.size() int": len for kind in ("string", "bytes", "list", "map")},
    "string.contains(string) bool": operator.contains,
    "string.startsWith(string) bool": str.startswith,
    "string.endsWith(string) bool": str.endswith,
    "string.lowerAscii() string": texts.lower_ascii,
    "string.upperAscii() string": texts.upper_ascii,
    "string.trim() string": texts.trim,
    "string.reverse() string": lambda a: a[::-1],
    "string.charAt(int) string": texts.char_at,
    "string.indexOf(string) int": texts.index_of,
    "string.indexOf(string, int) int": texts.index_of,
    "string.lastIndexOf(string) int": texts.last_index_of,
    "string.lastIndexOf(string, int) int": texts.last_index_of,
    "string.substring(int) string": texts.substring,
    "string.substring(int, int) string": texts.substring,
    # time
    **{f"timestamp.{name}() int": times.in_utc(get) for name, get in times.CALENDAR_FIELDS.items()},
    **{
        f"timestamp.{name}(string) int": times.in_zone(get)
        for name, get in times.CALENDAR_FIELDS.items()
    },
    "timestamp.getMilliseconds() int": times.milliseconds,
    "timestamp.getMilliseconds(string) int": times.milliseconds_in_zone,
    "timestamp.getTime() int": lambda a: a.ns // times.MILLISECOND_NS,
    "duration.getHours() int": lambda a: times.whole_units(a.ns, 3_600 * times.SECOND_NS),
    "duration.getMinutes() int": lambda a: times.whole_units(a.ns, 60 * times.SECOND_NS),
    "duration.getSeconds() int": lambda a: times.whole_units(a.ns, times.SECOND_NS),
    "duration.getMilliseconds() int": times.milliseconds_of_duration,
    # math extension
    "math.ceil(double) double": lambda a: arithmetic.whole_double(a, math.ceil),
    "math.floor(double) double": lambda a: arithmetic.whole_double(a, math.floor),
    "math.trunc(double) double": lambda a: arithmetic.whole_double(a, math.trunc),
    "math.round(double) double": arithmetic.round_away,
    "math.abs(double) double": abs,
    "math.abs(int) int": lambda a: checked_int(abs(a)),
    "math.abs(uint) uint": lambda a: a,
    "math.sign(double) double": arithmetic.sign,
    "math.sign(int) int": lambda a: (a > 0) - (a < 0),
    "math.sign(uint) uint": lambda a: Uint(a > 0),
    "math.isNaN(double) bool": math.isnan,
    "math.isInf(double) bool": math.isinf,
    "math.isFinite(double) bool": math.isfinite,
    "math.sqrt(double) double": arithmetic.square_root,
    "math.sqrt(int) double": arithmetic.square_root,
    "math.sqrt(uint) double": arithmetic.square_root,
    "math.bitAnd(int, int) int": operator.and_,
    "math.bitAnd(uint, uint) uint": lambda a, b: Uint(a & b),
    "math.bitOr(int, int) int": operator.or_,
    "math.bitOr(uint, uint) uint": lambda a, b: Uint(a | b),
    "math.bitXor(int, int) int": operator.xor,
    "math.bitXor(uint, uint) uint": lambda a, b: Uint(a ^ b),
    "math.bitNot(int) int": operator.invert,
    "math.bitNot(uint) uint": lambda a: Uint(~a & 0xFFFF_FFFF_FFFF_FFFF),
    "math.bitShiftLeft(int, int) int": arithmetic.shift_left,
    "math.bitShiftLeft(uint, int) uint": arithmetic.shift_uint_left,
    "math.bitShiftRight(int, int) int": arithmetic.shift_right,
    "math.bitShiftRight(uint, int) uint": arithmetic.shift_uint_right,
}

_COMPARED: Final = (
    *((a, b) for a in ("int", "uint", "double") for b in ("int", "uint", "double")),
    *((kind, kind) for kind in ("bool", "string", "bytes", "timestamp", "duration")),
)
_PLAIN.update(
    (f"_{sign}_({left}, {right}) bool", compare)
    for left, right in _COMPARED
    for sign, compare in (
        *(("<", operator.lt), ("<=", operator.le)),
        *((">", operator.gt), (">=", operator.ge)),
    )
)

_COSTLY: Final[dict[str, Callable[..., Any]]] = {
    "_+_(string, string) string": texts.concatenate,
    "_+_(bytes, bytes) bytes": texts.concatenate_bytes,
    "_+_(list, list) list": _append,
    "_[_](list, int) dyn": _item_at,
    "_[_](list, uint) dyn": _item_at,
    "_[_](list, double) dyn": _item_at,
    "_[_](map, any) dyn": _look_up,
    "_in_(any, list) bool": _in_list,
    "_in_(any, map) bool": _in_map,
    "string.matches(string) bool": patterns.matches,
    "matches(string, string) bool": patterns.matches,
    "string.replace(string, string) string": texts.replace,
    "string.replace(string, string, int) string": texts.replace,
    "string.split(string) list": texts.split,
    "string.split(string, int) list": texts.split,
    "math.greatest(list) dyn": arithmetic.greatest,
    "math.least(list) dyn": arithmetic.least,
    "list.join() string": texts.join,
    "list.join(string) string": texts.join,
}

_STEPS: Final = {
    "duration": 30,
    "string": 10,
    "timestamp.getMilliseconds": TIME_STEPS,
    **dict.fromkeys((f"timestamp.{name}" for name in times.CALENDAR_FIELDS), TIME_STEPS),
}
"""Extra steps of the slow functions, by the text before the arguments in their rows."""

TYPE_NAMES: Final[Mapping[str, str]] = {
    kind: {
        "null": "null_type",
        "timestamp": "google.protobuf.Timestamp",
        "duration": "google.protobuf.Duration",
    }.get(kind, kind)
    for kind in KINDS.values()
}
"""The name that `type(x)` gives each kind."""

_SIGNATURE: Final = re.compile(
    r"(?:(?P<target>[a-z]+)\.)?(?P<name>\w+|\S+)\((?P<given>.*)\) (?P<result>\w+)"
)


def _table() -> dict[tuple[str, bool], dict[tuple[str, ...], Overload]]:
    """(name, whether called on a target) -> overloads."""
    table: dict[tuple[str, bool], dict[tuple[str, ...], Overload]] = {}
    for rows, is_costly in ((_PLAIN, False), (_COSTLY, True)):
        for signature, call in rows.items():
            found = _SIGNATURE.fullmatch(signature)
            assert found, signature
            given = found["given"].split(", ") if found["given"] else []
            name, target = found["name"], found["target"]
            if target == "math":
                name, target = f"math.{name}", None
            overloads = table.setdefault((name, target is not None), {})
            shapes: list[tuple[str, ...]] = [()]
            for kind in ([target] if target else []) + given:
                kinds = KINDS.values() if kind == "any" else (kind,)
                shapes = [(*shape, one) for shape in shapes for one in kinds]
            steps = _STEPS.get(signature.partition("(")[0], 0)
            overload = Overload(found["result"], call, is_costly, steps)
            overloads.update((shape, overload) for shape in shapes)
    return table


FUNCTIONS: Final[Mapping[tuple[str, bool], Overloads]] = _table()
"""(name, whether called on a target) -> overloads. Immutable."""
