"""Values of expressions, after the language definition and the semantics of Instant's rules."""

from __future__ import annotations

import math
from typing import Any

import pytest

from support.cel_expressions import ENVIRONMENT, value_of
from trice.cel.errors import BudgetExceeded, CompileError, EvaluationError
from trice.cel.evaluate import evaluate, make_program
from trice.cel.parse import parse
from trice.cel.uint import Uint
from trice.cel.values import Budget, Duration, Timestamp, Type

DATA = {
    "owner": "ann",
    "count": 3,
    "price": 2.5,
    "nothing": None,
    "tags": ["a", "b", 1],
    "nested": {"deep": {"x": 1}},
    "done": True,
    "body": "x" * 2000,
    "long": [0] * 20_000,
}

VALUES: list[tuple[str, str, Any]] = [
    ("E20", "data.missing", None),
    ("E20", "data.nested.missing", None),
    ("E20", "data.nested.deep.missing == null", True),
    ("E20", "data['missing']", None),
    ("E20", "data[1]", None),
    ("E20", "has(data.missing)", True),
    ("E20", "'missing' in data", True),
    ("E20", "has(data.nested.missing)", True),
    ("E20", "data.owner == auth.id && auth.id != null", True),
    ("E21", "has({'a': 1}.a)", True),
    ("E21", "has({'a': 1}.b)", False),
    ("E21", "'b' in {'a': 1}", False),
    ("E21", "{1: 'x'}[1.0]", "x"),
    ("E21", "true in {1: 2}", False),
    ("E23", "1 == 1.0 && 1u == 1 && 2 != 2.5", True),
    ("E23", "'1' == 1", False),
    ("E23", "true == 1", False),
    ("E23", "null == false", False),
    ("E23", "[1, [2]] == [1.0, [2u]]", True),
    ("E23", "{'a': 1} == {'a': 1.0}", True),
    ("E23", "{'a': 1} == {'b': 1}", False),
    ("E23", "data.nested == {'deep': {'x': 1}}", True),
    ("E23", "{'deep': {'x': 1}} == data.nested", True),
    ("E23", "data.nested == {1: 1}", False),
    ("E23", "[1] == [1, 2]", False),
    ("E23", "data.tags == ['a', 'b', 1]", True),
    ("E24", "1 < 1.5 && 2u > 1 && -1 < 0u", True),
    ("E24", "'a' < 'b' && b'a' <= b'a' && false < true", True),
    ("E25", "1.0 in data.tags", True),
    ("E25", "true in data.tags", False),
    ("E25", "'b' in data.tags", True),
    ("E25", "null in [null]", True),
    ("E25", "[1] in [[1.0]]", True),
    ("E26", "false && data.a.b", False),
    ("E26", "data.a.b && false", False),
    ("E26", "data.a.b || true", True),
    ("E26", "data.count && false", False),
    ("E26", "1 / 0 == 1 || data.a.b || true", True),
    ("E26", "[0, 1].exists(x, 1 / x == 1)", True),
    ("E26", "[0, 2].all(x, 1 / x == 1)", False),
    ("E26", "[].all(x, false)", True),
    ("E27", "true ? 1 : data.a.b", 1),
    ("E27", "false ? data.a.b : 2", 2),
    ("E27", "!data.done", False),
    ("E28", "cel.bind(x, data.a.b, true || x)", True),
    ("E28", "cel.bind(x, 2, cel.bind(y, x * x, y + y))", 8),
    ("E28", "[1, 2].map(x, cel.bind(y, x * 10, y + y))", [20, 40]),
    ("E28", "cel.bind(x, 1, [x].map(x, x + 1)[0] + x)", 3),
    ("E29", "{'a': 1}.exists(k, k == 'a')", True),
    ("E29", "data.nested.all(k, k == 'deep')", True),
    ("E29", "data.tags.exists_one(t, t == 'a')", True),
    ("E29", "[1, 1].exists_one(t, t == 1)", False),
    ("E29", "data.tags.filter(t, type(t) == string)", ["a", "b"]),
    ("E29", "[1, 2, 3].map(x, x > 1, x * 2)", [4, 6]),
    ("E29", "size(data.tags) + data.tags.size()", 6),
    ("E40", "-7 / 2", -3),
    ("E40", "-7 % 2", -1),
    ("E40", "7u / 2u", Uint(3)),
    ("E40", "1.0 / 0.0", math.inf),
    ("E40", "-1.0 / 0.0", -math.inf),
    ("E40", "[1] + [2]", [1, 2]),
    ("E41", "int('-12') + int(3.9) + int(2u)", -7),
    ("E41", "string(1.0) + string(2u) + string(true)", "12true"),
    ("E41", "double('1.5')", 1.5),
    ("E41", "uint(5)", Uint(5)),
    ("E41", "bool('true')", True),
    ("E41", "string(b'abc')", "abc"),
    ("E41", "bytes('é')", b"\xc3\xa9"),
    ("E41", "type(1)", Type("int")),
    ("E41", "type(null) == null_type && type(type(1)) == type", True),
    ("E41", "dyn(1) == 1", True),
    ("E42", "math.greatest(1, 2.5, 2u)", 2.5),
    ("E42", "math.least([3, 1, 2])", 1),
    ("E42", "math.ceil(1.2) + math.floor(1.8) + math.trunc(-1.5)", 2.0),
    ("E42", "[math.round(2.5), math.round(-2.5), math.round(0.4)]", [3.0, -3.0, 0.0]),
    ("E42", "math.abs(-3) + math.sign(-9)", 2),
    ("E42", "math.isNaN(0.0 / 0.0) && math.isInf(1.0 / 0.0) && math.isFinite(1.0)", True),
    ("E42", "math.sqrt(9)", 3.0),
    (
        "E42",
        "[math.bitAnd(6, 3), math.bitOr(6, 3), math.bitXor(6, 3), math.bitNot(0)]",
        [2, 7, 5, -1],
    ),
    ("E42", "[math.bitShiftLeft(1, 63), math.bitShiftRight(-1, 60)]", [-(2**63), 15]),
    ("E42", "math.bitShiftLeft(1, 64)", 0),
    ("E50", "'hello'.charAt(1) + 'ab'.charAt(2)", "e"),
    (
        "E50",
        "['abcabc'.indexOf('c', 3), 'abcabc'.lastIndexOf('c', 4), 'a'.indexOf('z')]",
        [5, 2, -1],
    ),
    ("E50", "'AbÉ'.lowerAscii() + 'abé'.upperAscii()", "abÉABé"),
    ("E50", "'aaa'.replace('a', 'b', 2) + 'xyx'.replace('x', '')", "bbay"),
    ("E50", "'a,b,c'.split(',', 2)", ["a", "b,c"]),
    ("E50", "'abc'.split('')", ["a", "b", "c"]),
    ("E50", "['a', 'b'].join('-') + ['c'].join()", "a-bc"),
    ("E50", "'hello'.substring(1, 3) + 'hello'.substring(4)", "elo"),
    ("E50", "'  a b\\u00a0'.trim() + 'ab'.reverse()", "a bba"),
    ("E50", "'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", True),
    ("E50", "size('😀é')", 2),
    ("E51", "'foobar'.matches('o+b') && matches('abc', '^a.c$')", True),
    ("E51", "'abc'.matches('^b')", False),
    ("E60", "timestamp('8/4/2025, 11:02:31 PM').getTime()", 1754348551000),
    ("E60", "timestamp(5000) == timestamp('1970-01-01T00:00:05Z')", True),
    ("E60", "int(timestamp(5999))", 5),
    ("E61", "timestamp('2025-03-02').getMonth()", 2),
    ("E61", "timestamp('2025-03-02').getDate() - timestamp('2025-03-02').getDayOfMonth()", 1),
    ("E61", "timestamp('2025-03-02').getDayOfWeek()", 0),
    ("E61", "timestamp('2025-01-01T23:30:00Z').getDate('+02:00')", 2),
    ("E61", "timestamp('2025-07-01T12:00:00Z').getHours('Europe/Paris')", 14),
    ("E61", "timestamp('2025-01-01T01:02:03.456Z').getMilliseconds()", 456),
    ("E61", "timestamp('2025-01-01').getFullYear() + timestamp('2025-02-01').getDayOfYear()", 2056),
    ("E62", "duration('1h30m')", Duration(5_400_000_000_000)),
    ("E62", "string(duration('-1.5s'))", "-1.500s"),
    ("E62", "timestamp(0) + duration('1s')", Timestamp(1_000_000_000)),
    ("E62", "timestamp(2000) - timestamp(500) == duration('1500ms')", True),
    ("E62", "duration('90m').getHours()", 1),
    ("E62", "string(timestamp('2025-01-02T03:04:05.678Z'))", "2025-01-02T03:04:05.678Z"),
    ("E62", "timestamp('2025-01-02') < timestamp('2025-01-03')", True),
]


def cases(rows: list[tuple[str, str, Any]]) -> list[Any]:
    return [
        pytest.param(source, expected, id=f"{rule} {source}") for rule, source, expected in rows
    ]


@pytest.mark.rule("E20", "E21", "E23", "E24", "E25", "E26", "E27", "E28", "E29", "E40", "E41")
@pytest.mark.rule("E42", "E50", "E51", "E60", "E61", "E62")
@pytest.mark.parametrize(("source", "expected"), cases(VALUES))
def test_values(source: str, expected: Any) -> None:
    found = value_of(source, DATA)
    assert found == expected
    assert type(found) is type(expected)


FAILURES: list[tuple[str, str, Any]] = [
    ("E21", "{'a': 1}.b", "no key 'b'"),
    ("E21", "{'a': 1, 'a': 2}", "twice"),
    ("E21", "{[1]: 2}", "key of a map"),
    ("E22", "data.missing.x", "was asked of null"),
    ("E22", "data.owner.x", "was asked of string"),
    ("E22", "has(data.missing.x)", "which is no map"),
    ("E24", "data.nothing < 1", "`<` does not take (null, int)"),
    ("E24", "data.owner < 1", "`<` does not take (string, int)"),
    ("E25", "1 in data.nothing", "`in` does not take (int, null)"),
    ("E26", "true && data.count", "`&&` takes a bool; it was given int"),
    ("E26", "false || data.nothing", "`||` takes a bool; it was given null"),
    ("E26", "false || data.a.b", "was asked of null"),
    ("E26", "[0].exists(x, 1 / x == 2)", "Division by zero"),
    ("E26", "[1].all(x, data.count)", "`all` takes a bool"),
    ("E27", "!data.nothing", "`!` takes a bool; it was given null"),
    ("E27", "data.nothing ? 1 : 2", "`?:` takes a bool; it was given null"),
    ("E28", "cel.bind(x, data.a.b, x)", "was asked of null"),
    ("E29", "data.nothing.all(x, true)", "goes through lists and maps, not null"),
    ("E29", "data.tags.filter(x, x)", "`filter` takes a bool"),
    ("E40", "9223372036854775807 + 1", "64 bits of an int"),
    ("E40", "-9223372036854775808 / -1", "64 bits of an int"),
    ("E40", "-data.count - 9223372036854775807", "64 bits of an int"),
    ("E40", "0u - 1u", "as a uint is"),
    ("E40", "1 / 0", "Division by zero"),
    ("E40", "1 % 0", "Modulus by zero"),
    ("E41", "int('1.5')", "'1.5' is no int"),
    ("E41", "int(1e300)", "64 bits of an int"),
    ("E41", "uint('-1')", "is no uint"),
    ("E41", "uint(-1.0)", "as a uint is"),
    ("E41", "double('x')", "is no double"),
    ("E41", "bool('yes')", "is no bool"),
    ("E41", "string(b'\\xff')", "no UTF-8"),
    ("E42", "math.greatest([])", "empty list"),
    ("E42", "math.least(['a'])", "takes numbers; it was given string"),
    ("E42", "math.bitShiftLeft(1, -1)", "cannot be shifted"),
    ("E50", "'abc'.charAt(4)", "outside the string"),
    ("E50", "'abc'.substring(2, 1)", "ends before it starts"),
    ("E50", "[1].join()", "takes a list of strings; it has int"),
    ("E22", "[1][1]", "outside the list, which has 1 items"),
    ("E22", "[1][0.5]", "no index"),
    ("E51", "'a'.matches(data.owner + '(')", "is refused"),
    ("E60", "timestamp('2025-01-0')", "is no date"),
    ("E60", "timestamp(data.nothing)", "`timestamp` does not take (null)"),
    ("E61", "timestamp(0).getHours('Nowhere/City')", "is no time zone"),
    ("E61", "timestamp(0).getHours('../etc')", "is no time zone"),
    ("E61", "timestamp('infinity').getFullYear()", "outside the years"),
    ("E62", "duration('1 hour')", "is no duration"),
    ("E62", "duration('9999999h')", "at most 292 years"),
]


@pytest.mark.rule("E22")
@pytest.mark.parametrize(("source", "expected"), cases(FAILURES))
def test_failures(source: str, expected: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        value_of(source, DATA)
    assert expected in str(caught.value)


REFUSALS: list[tuple[str, str, Any]] = [
    ("E10", "dta.x", "undeclared name `dta`; here are: auth, data, request."),
    ("E10", "[1].map(x, y)", "undeclared name `y`; here are: auth, data, request, x."),
    ("E10", "request.foo", "`request` has no field `foo`; it has: ip, time. Nothing else."),
    ("E10", "has(request.foo)", "`request` has no field `foo`"),
    ("E10", "foo(1)", "unknown function `foo`."),
    ("E10", "data.size", None),
    ("E10", "contains('a', 'b')", "did you mean `x.contains()`?"),
    ("E10", "'a'.int()", "did you mean `int(x)`?"),
    ("E10", "auth.ref('x')", "`ref` can be called only as data.ref."),
    ("E11", "1 + 'a'", "`+` does not take (int, string)."),
    ("E11", "'a' && true", "`&&` takes a bool; it is given string."),
    ("E11", "!1", "`!` takes a bool; it is given int."),
    ("E11", "null ? 1 : 2", "`?:` takes a bool; it is given null."),
    ("E11", "'a'.b", "string has no field `b`"),
    ("E11", "'abc'.all(x, true)", "goes through lists and maps, not string"),
    ("E11", "[1].all(x, 1)", "takes a bool; it is given int"),
    ("E11", "1 in null", "`in` does not take (int, null)."),
    ("E11", "size(1, 2)", "`size` does not take (int, int)."),
    ("E11", "data.ref(1)", "`data.ref` takes string; it is given int."),
    ("E11", "data.ref()", "`data.ref` takes (string)."),
    ("E11", "request.ip + 1", "`+` does not take (string, int)."),
    ("E12", "data.x.matches('(')", "RE2 syntax"),
    ("E12", f"data.x.matches('{'a' * 1001}')", "at most 1,000 are allowed"),
    ("E12", "data.x.matches('(a{1,1000}){1,1000}')", "RE2 syntax"),
]


@pytest.mark.rule("E10", "E11", "E12")
@pytest.mark.parametrize(("source", "expected"), cases(REFUSALS))
def test_refusals(source: str, expected: str | None) -> None:
    if expected is None:
        make_program(parse(source), ENVIRONMENT)
        return
    with pytest.raises(CompileError) as caught:
        make_program(parse(source), ENVIRONMENT)
    assert expected in caught.value.message


def test_methods_of_the_host_are_called() -> None:
    assert value_of("data.ref('a.id')") == ["a.id", "ann"]
    assert value_of("auth.id in data.ref('a.id')") is True
    with pytest.raises(CompileError, match=r"unknown function|only as"):
        value_of("[{'a': 1}].map(data, data.ref('x'))")


@pytest.mark.rule("E13")
def test_binds_count_towards_size_and_depth() -> None:
    deep = parse("[" * 50 + "1" + "]" * 50)
    with pytest.raises(CompileError, match="nested more than 80"):
        make_program(parse("[" * 40 + "a" + "]" * 40), ENVIRONMENT, [("a", deep)])
    wide = parse("[" + "1," * 1500 + "]")
    with pytest.raises(CompileError, match="parts; at most 2,000"):
        make_program(parse("a == b"), ENVIRONMENT, [("a", wide), ("b", wide)])
    chain = "cel.bind(a0, 1, "
    for level in range(1, 40):
        chain += f"cel.bind(a{level}, [[[a{level - 1}]]], "
    with pytest.raises(CompileError, match="nested more than 80"):
        make_program(parse(chain + "a39" + ")" * 40), ENVIRONMENT)


def test_a_fault_in_a_bind_names_the_bind() -> None:
    with pytest.raises(CompileError, match="line 2, column 3 of bind `b`") as caught:
        make_program(parse("b"), ENVIRONMENT, [("a", parse("1")), ("b", parse("a\n+ x"))])
    assert (caught.value.bind, caught.value.line) == ("b", 2)


HUNDRED = "[" + "1," * 100 + "]"


def doubling(first: str, step: str, last: str) -> str:
    binds = "".join(f"cel.bind(a{n}, {step.replace('#', f'a{n - 1}')}, " for n in range(1, 25))
    return f"cel.bind(a0, {first}, {binds}{last}{')' * 25}"


@pytest.mark.rule("E70", "E71")
@pytest.mark.parametrize(
    "source",
    [
        f"{HUNDRED}.all(a, {HUNDRED}.all(b, {HUNDRED}.all(c, a + b + c > 0)))",
        f"{HUNDRED}.map(a, {HUNDRED}.map(b, {HUNDRED}.map(c, c))) == []",
        doubling("data.body", "# + #", "a24 == ''"),
        doubling("[1, 1]", "# + #", "a24 == []"),
        doubling("[1, 1]", "[#, #]", "a24 == [a23, a23]"),
        doubling("data.a.b", "# || #", "a24"),
        "data.body.replace('x', data.body).replace('x', data.body) == ''",
        f"{HUNDRED}.map(x, data.body).join(data.body).split('').size() > 0",
        f"{HUNDRED}.exists(a, data.body.matches(string(a) + '(\\\\pL{{1,30}}){{1,19}}'))"
        f" || {HUNDRED}.exists(a, {HUNDRED}.exists(b, data.body.matches('y$')))",
        f"{HUNDRED}.exists(a, {HUNDRED}.exists(b, {HUNDRED}.exists(c, data.a.b)))",
        f"{HUNDRED}.all(a, {HUNDRED}.all(b, math.greatest(data.long) == 0))",
        f"{HUNDRED}.all(a, {HUNDRED}.all(b, timestamp('8/4/2025, 11:02:31 PM').getTime() > 0))",
        f"{HUNDRED}.exists(a, {HUNDRED}.exists(b, timestamp(0).getHours('No/Zone') == 0))",
    ],
)
def test_runaway_expressions_end(source: str) -> None:
    with pytest.raises(BudgetExceeded):
        value_of(source, DATA)


@pytest.mark.rule("E70")
def test_no_operator_absorbs_the_end_of_the_budget() -> None:
    with pytest.raises(BudgetExceeded):
        value_of(f"{HUNDRED}.all(a, a == 1) || true", steps=250)
    assert value_of(f"{HUNDRED}.all(a, a == 1) || true", steps=2_000) is True


@pytest.mark.rule("E70")
def test_a_budget_may_be_shared() -> None:
    program = make_program(parse("1 + 1"), ENVIRONMENT)
    budget = Budget(program.weight * 2)
    assert [evaluate(program, {}, budget) for _ in range(2)] == [2, 2]
    with pytest.raises(BudgetExceeded):
        evaluate(program, {}, budget)


@pytest.mark.rule("E112")
@pytest.mark.parametrize(
    ("source", "meant"),
    [("dta.x == 1", "data"), ("undefined", "null"), ("None", "null"), ("True", "true")],
)
def test_an_unknown_name_comes_with_the_one_that_was_meant(source: str, meant: str) -> None:
    with pytest.raises(CompileError, match=f"Did you mean `{meant}`"):
        value_of(source)


@pytest.mark.rule("E113")
@pytest.mark.parametrize(
    "source",
    [
        "data.ref('a.b') == 1",
        "1 != data.ref('a.b')",
        "request.ip == 1",
        "request['ip'] == 1",
        "request.time == 'x'",
        "auth == 'x'",
        "cel.bind(found, data.ref('a.b'), found == true)",
    ],
)
def test_what_the_host_says_is_compared_with_its_own_kind_only(source: str) -> None:
    with pytest.raises(CompileError, match="they are never equal"):
        value_of(source)


@pytest.mark.rule("E113")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("data.ref('a.b') == []", False),
        ("data.ref('a.b') == null", False),
        ("data.ref('a.b') == data.x", False),
        ("size(data.ref('a.b')) == 2.0", True),
        ("'a' == 1", False),
        ("request.ip == ''", True),
    ],
)
def test_what_may_be_equal_may_be_compared(source: str, value: bool) -> None:
    assert value_of(source) is value


@pytest.mark.rule("E114")
def test_a_field_in_brackets_is_the_field() -> None:
    assert value_of("request['ip'] == ''") is True
    with pytest.raises(CompileError, match="`request` has no field `nope`"):
        value_of("request['nope']")
    assert value_of("data['ref']", {"ref": 5}) == 5
    assert value_of("cel.bind(request, {'x': 1}, request['x'])") == 1
