"""Every function and operator on every pair of telling values, as Google's implementation has it.

What ours does otherwise on purpose is a table, with reasons; so is what the subset leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any, Final

import pytest

from support.cel_expressions import ENVIRONMENT, value_of
from support.cel_google import ERROR, ours, plain
from trice.cel.errors import CompileError
from trice.cel.evaluate import make_program
from trice.cel.parse import parse
from trice.cel.uint import Uint
from trice.cel.values import Type

Google = Callable[[str], Any]

INTS: Final = ("0", "1", "-7", "-9223372036854775808", "9223372036854775807")
UINTS: Final = ("0u", "1u", "7u", "18446744073709551615u")
DOUBLES: Final = ("0.0", "-0.0", "1.0", "-2.5", "1e300", "1.0 / 0.0")
NAN: Final = "0.0 / 0.0"
TEXTS: Final = ("''", "'a'", "'\U0001f600'", "'\\uffff'")
SCALARS: Final = (*INTS, *UINTS, *DOUBLES, NAN, *TEXTS, "null", "true", "false", "b'a'", "b'\\xff'")
COMPOUND: Final = (
    *("[]", "[1]", "[1.0, 'a']", "[[]]", "{}", "{'a': 1}", "{'a': 1u}", "{1: 'a'}", "int"),
    *("duration('1s')", "timestamp('2024-02-29T23:59:59.250Z')"),
)
ALL: Final = (*SCALARS, *COMPOUND)
ORDERED: Final = (*SCALARS, "[1]", "{}", "duration('1s')")
FEW: Final = (*INTS, *UINTS, "0.0", "-2.5", "1e300", NAN, "'a'", "null")
ONE_OF_EACH: Final = ("1", "1u", "1.0", "'a'", "null", "true", "false", "b'a'", "[]", "{}", "1 / 0")


def dyn(sources: Iterable[str]) -> list[str]:
    """The values with their kinds hidden, so that nothing is refused when compiled."""
    return [f"dyn({source})" for source in sources]


def disagreements(sources: Iterable[str], google: Google) -> list[tuple[str, Any, Any]]:
    """(source, ours, Google's) where the two differ."""
    pairs = ((source, ours(source), google(source)) for source in sources)
    return [found for found in pairs if repr(found[1]) != repr(found[2])]


def calls(function: str, *arguments: Iterable[str]) -> Iterator[str]:
    """`function` with its `%s` filled in with every combination of arguments."""
    first, *others = function.split("%s")
    for chosen in product(*arguments):
        yield first + "".join(map(str.__add__, chosen, others))


@pytest.mark.rule("E100")
@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "in"])
def test_relations_of_all_pairs(operator: str, google: Google) -> None:
    values = dyn({"==": ALL, "in": ALL, "<": ORDERED}.get(operator, FEW))
    sources = calls(f"%s {operator} %s", values, values)
    assert disagreements(sources, google) == []


@pytest.mark.rule("E100")
def test_negation(google: Google) -> None:
    assert disagreements(calls("-%s", dyn(ALL)), google) == []


@pytest.mark.rule("E100")
@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "%"])
def test_arithmetic_of_all_pairs(operator: str, google: Google) -> None:
    values = dyn((*ORDERED, "timestamp('2024-02-29T23:59:59.250Z')"))
    sources = calls(f"%s {operator} %s", values, values)
    assert disagreements(sources, google) == []


@pytest.mark.rule("E100")
@pytest.mark.parametrize("macro", ["%s && %s", "%s || %s", "%s ? 1 : %s", "!%s"])
def test_logic_of_all_pairs(macro: str, google: Google) -> None:
    arguments = [dyn(ONE_OF_EACH)] * macro.count("%s")
    assert disagreements(calls(macro, *arguments), google) == []


NUMBER_TEXTS: Final = (
    *("'12'", "'-12'", "'+12'", "'1.5'", "'-0'", "'1e3'", "'9223372036854775808'", "'0x1'"),
    *("'true'", "'TRUE'", "'tRue'", "'t'", "'1'", "'Infinity'", "'-inf'", "'nan'", "'1_0'", "'x'"),
    *("'90s'", "'1h30m'", "'-1.5s'", "'.5s'", "'1ms'", "'1'", "'1d'", "'1h 1m'", "'400000000h'"),
    *("1.9", "-1.9", "-0.5", "9223372036854774784.0", "9223372036854775808.0", "1e19", "1e-5"),
)


@pytest.mark.rule("E100")
@pytest.mark.parametrize(
    "function", ["int", "uint", "double", "bool", "bytes", "string", "duration", "type", "size"]
)
def test_conversions_of_all_values(function: str, google: Google) -> None:
    skipped = {
        "string": {NAN, "1e300", "9223372036854774784.0", "9223372036854775808.0", "1e19"},
        "double": {"'0x1'"},
        "uint": {"'+12'", "'-0'"},
        "int": {"true", "false"},
    }.get(function, set())
    values = [value for value in (*ALL, *NUMBER_TEXTS) if value not in skipped]
    assert disagreements(calls(f"{function}(%s)", dyn(values)), google) == []


@pytest.mark.rule("E100")
@pytest.mark.parametrize(
    "function",
    [
        *("'%s'.charAt(%s)", "'%s'.substring(%s)", "'%s'.substring(1, %s)"),
        *("'%s'.indexOf('%s')", "'%s'.lastIndexOf('%s')", "'%s'.contains('%s')"),
        *("'%s'.startsWith('%s')", "'%s'.endsWith('%s')", "'%s'.split('%s')"),
        *("'%s'.indexOf('%s', 1)", "'%s'.lastIndexOf('%s', 1)", "'%s'.split('%s', 2)"),
        *("'%s'.replace('%s', '+')", "'%s'.replace('%s', '', 1)", "'%s'.split('%s', 0)"),
        *("'%s'.lowerAscii()", "'%s'.upperAscii()", "'%s'.trim()", "'%s'.reverse()"),
    ],
)
def test_functions_of_strings(function: str, google: Google) -> None:
    texts = ["", "a", "aXa", "éaé", " a\u00a0", "\U0001f600a\U0001f600", "aaaa"]
    second = ["-1", "0", "1", "2", "9"] if "(%s)" in function or "1, %s" in function else texts
    arguments = [texts, second][: function.count("%s")]
    # Splitting nothing at nothing is the empty list in one implementation, `['']` in the other.
    nothing = "''.split('')", "''.split('', 2)"
    sources = (one for one in calls(function, *arguments) if one not in nothing)
    assert disagreements(sources, google) == []


@pytest.mark.rule("E100")
@pytest.mark.parametrize("function", ["abs", "ceil", "floor", "round", "sign", "sqrt", "trunc"])
def test_mathematics_of_one_value(function: str, google: Google) -> None:
    values = dyn((*ALL, "-0.4", "2.5", "0.49999999999999994", "4503599627370497.5"))
    assert disagreements(calls(f"math.{function}(%s)", values), google) == []


@pytest.mark.rule("E100")
@pytest.mark.parametrize(
    "function", ["greatest", "least", "bitAnd", "bitOr", "bitXor", "bitShiftLeft", "bitShiftRight"]
)
def test_mathematics_of_two_values(function: str, google: Google) -> None:
    numbers = (*INTS, *UINTS, *DOUBLES, "63", "64", "'a'", "null")
    sources = calls(f"math.{function}(%s, %s)", dyn(numbers), dyn(numbers))
    assert disagreements(sources, google) == []


@pytest.mark.rule("E100")
@pytest.mark.parametrize("macro", ["all", "exists", "exists_one", "map", "filter"])
def test_macros_over_all_lists(macro: str, google: Google) -> None:
    lists = ["[]", "[0]", "[1]", "[1, 1]", "[0, 1]", "[1, 0]", "['a', 1]", "{}", "{1: 0}"]
    bodies = ["x == 1", "1 / x == 1", "x", "true", "[x].all(x, x == 1)", "x > 0 || x == 0"]
    sources = calls(f"%s.{macro}(x, dyn(%s))", [*lists, "dyn(1)", "dyn(null)"], bodies)
    assert disagreements(sources, google) == []


@pytest.mark.rule("E100")
def test_indexes_and_keys(google: Google) -> None:
    holders = ["[7, 8]", "{0: 'a', 1u: 'b'}", "{'a': 1}", "{true: 1}", "dyn('a')", "dyn(null)"]
    assert disagreements(calls("%s[%s]", holders, dyn(ALL)), google) == []
    assert disagreements(calls("{%s: 1}[dyn(1)]", dyn(ALL)), google) == []


@pytest.mark.rule("E104")
def test_fields_of_time(google: Google) -> None:
    fields = ["FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear"]
    fields += ["Hours", "Minutes", "Seconds", "Milliseconds"]
    times = [
        *("timestamp('2024-02-29T23:59:59.250Z')", "timestamp('1969-12-31T23:59:59.500Z')"),
        *("timestamp('0001-01-02T00:00:00Z')", "timestamp('9999-12-30T12:00:00.999Z')"),
    ]
    zones = ["", "'UTC'", "'Asia/Kolkata'", "'America/New_York'", "'-08:30'", "'05:45'", "'Mars'"]
    assert disagreements(calls("%s.get%s(%s)", times, fields, zones), google) == []
    spans = ["duration('1h1m1.001s')", "duration('-1h1m1.999s')", "duration('0s')"]
    assert disagreements(calls("%s.get%s()", spans, fields[-4:]), google) == []


@pytest.mark.rule("E105")
def test_fractions_of_seconds_are_written_in_threes(google: Google) -> None:
    parts = ["", ".1", ".12", ".120", ".1234", ".000001"]
    assert disagreements(calls("string(timestamp('2024-01-01T00:00:00%sZ'))", parts), google) == []
    parts += [".000000001", ".1234567"]
    assert disagreements(calls("string(duration('%s5%ss'))", ["", "-"], parts), google) == []
    assert value_of("string(duration('1.5s')) + string(duration('1us'))") == "1.500s0.000001s"


QUOTES: Final = ("'", '"', "'''", '"""')
ESCAPED: Final = {
    **{
        f"\\{letter}": character
        for letter, character in zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)
    },
    **{f"\\{mark}": mark for mark in "\\?'\"`"},
    "\\101": "A",
    "\\x4a": "J",
    "\\X4A": "J",
    "\\x7F": "\x7f",
    "\\000": "\0",
}
"""As written → what it means, in strings and bytes."""


@pytest.mark.rule("E100")
@pytest.mark.parametrize("quote", QUOTES)
def test_literals(quote: str) -> None:
    for written, meant in ESCAPED.items():
        literal = f"{quote} {written} {quote}"
        assert value_of(literal) == f" {meant} ", literal
        assert value_of(f"b{literal}") == f" {meant} ".encode(), literal
        if quote not in f"{written}{quote}"[:-1]:
            assert value_of(f"r{literal}") == f" {written} ", literal
            assert value_of(f"bR{literal}") == f" {written} ".encode(), literal
    wide = {
        "\\u00e9": "é",
        "\\U0001F600": "\U0001f600",
        "\\ufffb": "\ufffb",
        "\U00088888": "\U00088888",
    }
    for written, meant in wide.items():
        assert value_of(f"{quote}{written}{quote}") == meant, written
    for octet in ("\\xff", "\\377", "\\XfF"):
        assert value_of(f"b{quote}{octet}{quote}") == b"\xff"
        assert value_of(f"{quote}{octet}{quote}") == "ÿ"
    for number in {*range(1, 32), 127} - ({10, 13} if len(quote) == 1 else set()):
        assert value_of(f"{quote}{chr(number)}{quote}") == chr(number)


@pytest.mark.rule("E100")
def test_sizes_every_implementation_takes() -> None:
    """The definition asks for 24 to 32 repetitions, and for 12 levels of most things."""
    assert value_of(" || ".join(["false"] * 31 + ["true"])) is True
    assert value_of(" && ".join(["true"] * 32)) is True
    assert value_of("false ? 0 : " * 24 + "5") == 5
    assert value_of("1" + " + 1" * 24) == 25
    assert value_of("2" + " * 3 / 3" * 12) == 2
    assert value_of("!" * 32 + "true") is True
    assert value_of("-" * 32 + "5") == 5
    assert value_of("(" * 32 + "5" + ")" * 32) == 5
    assert value_of("[" * 12 + "5" + "]" * 12 + "[0]" * 12) == 5
    assert value_of("{'a': " * 12 + "5" + "}" * 12 + ".a" * 12) == 5
    assert value_of("int(" * 12 + "5" + ")" * 12) == 5
    assert value_of(f"[{', '.join(map(str, range(32)))}][31]") == 31
    assert value_of(f"{{{', '.join(f'{key}: {key}' for key in range(32))}}}[31]") == 31


@pytest.mark.rule("E100")
@pytest.mark.parametrize("space", [" ", "\t", "\n", "\r\n", "\f", "// why?\n"])
def test_space_and_comments_mean_nothing(space: str) -> None:
    words = ["[", "{", "'a'", ":", "1", "}", ".", "a", "]", "[", "0", "]", "+", "-", "3", "<", "5"]
    assert value_of(space.join(words)) is True


RESERVED: Final = (
    *("as", "break", "const", "continue", "else", "for", "function", "if", "import"),
    *("let", "loop", "namespace", "package", "return", "var", "void", "while"),
)


@pytest.mark.rule("E100")
@pytest.mark.parametrize("word", RESERVED)
def test_reserved_words_are_fields_and_functions(word: str) -> None:
    assert value_of(f"{{'{word}': 1}}.{word} == 1 && has({{'{word}': 1}}.{word})") is True
    with pytest.raises(CompileError, match=f"unknown function `{word}`"):
        value_of(f"data.{word}()")
    with pytest.raises(CompileError, match="reserved"):
        value_of(word)


@pytest.mark.rule("E102")
def test_keys_of_map_literals_are_no_doubles() -> None:
    assert ours("{1.0: 'a'}") == ERROR
    assert ours("{dyn(0.5): 'a'}") == ERROR
    assert value_of("{1: 'a', 2u: 'b'}[2.0]") == "b"
    assert value_of("0.5 in {1: 'a'}") is False


@pytest.mark.rule("E103")
def test_remainders_fail_where_quotients_do() -> None:
    assert ours("-9223372036854775808 % -1") == ERROR
    assert value_of("-9223372036854775807 % -1") == 0


@pytest.mark.rule("E106")
def test_paths_name_types() -> None:
    assert value_of("google.protobuf.Duration") == Type("google.protobuf.Duration")
    assert value_of("type(timestamp(0)) == google.protobuf.Timestamp") is True
    assert value_of("type(timestamp(0)) == google.protobuf.Duration") is False
    assert value_of("[{'protobuf': {'Duration': 1}}].exists(google, google.protobuf.Duration == 1)")
    with pytest.raises(CompileError, match="undeclared name `google`"):
        value_of("google.protobuf.Empty")


@pytest.mark.rule("E107")
def test_whole_doubles_keep_their_sign() -> None:
    for source in ("math.ceil(-0.5)", "math.trunc(-0.5)", "math.floor(-0.0)", "math.round(-0.4)"):
        assert math.copysign(1.0, value_of(source)) == -1.0, source
    assert math.copysign(1.0, value_of("math.floor(0.5)")) == 1.0


REFUSED: Final = "refused"
"""What a deviation comes to when it is refused before it is evaluated."""

DEVIATIONS: Final[list[tuple[str, Any, str]]] = [
    # Numbers are compared exactly, as the database compares them, so that a rule made part of a
    # query and the same rule evaluated on one entity agree. Google rounds ints to doubles.
    ("dyn(9007199254740993) == 9007199254740992.0", False, "exact numbers"),
    ("dyn(9223372036854775807) < 9223372036854775808.0", True, "exact numbers"),
    ("dyn(9007199254740993) in [9007199254740992.0]", False, "exact numbers"),
    # A mistake is told when the rule is saved, not when an entity first runs into it.
    ("true || nobody", REFUSED, "names are checked"),
    ("true || nothing(1)", REFUSED, "functions are checked"),
    ("false && 5", REFUSED, "known kinds are checked"),
    ("true || null", REFUSED, "known kinds are checked"),
    ("cel.bind(x, x, 1)", REFUSED, "names are checked"),
    # Dates are those an app may store: more forms, more years, microseconds, zones up to 15 hours.
    ("timestamp('2024-01-01') == timestamp('2024-01-01T00:00:00Z')", True, "stored dates"),
    ("timestamp('10000-01-01T00:00:00Z') > timestamp('9999-01-01')", True, "stored dates"),
    ("timestamp('9999-12-31T23:59:59Z') + duration('1s') > timestamp(0)", True, "stored dates"),
    ("timestamp('2024-01-01T00:00:00.0000001Z') == timestamp('2024-01-01')", True, "stored dates"),
    ("timestamp('2024-02-29T00:00:00+23:59')", ERROR, "stored dates"),
    # Text forms in which implementations differ: ours are those of the one in Go.
    ("string(1e15)", "1000000000000000", "text forms"),
    ("double('0x10')", ERROR, "text forms"),
    ("int(' 5')", ERROR, "text forms"),
    ("uint('+1')", ERROR, "text forms"),
    ("duration('1µs') == duration('1us')", True, "text forms"),
    ("''.split('')", [], "text forms"),
    # Forgiving where nothing else could be meant.
    ("size('a',)", 1, "forgiving"),
    ("rb'a'", b"a", "forgiving"),
    # Two signs are two operators, each with its checks, not nothing at all.
    ("--dyn('a')", ERROR, "signs"),
    ("!!dyn('a')", ERROR, "signs"),
    # Google counts booleans as numbers here, against the definition.
    ("int(dyn(true))", ERROR, "the definition"),
    # Google tells keys apart by kind here, though it looks them up by value.
    ("size({0: 'a', 0u: 'b'})", ERROR, "the definition"),
    # Google refuses an end at the end of the text.
    ("'aXa'.substring(1, 3)", "Xa", "the definition"),
    ("r'\\'", "\\", "forgiving"),
]
"""(source, ours, why): where ours differs from Google's implementation on purpose."""


@pytest.mark.rule("E101")
@pytest.mark.parametrize(("source", "expected", "reason"), DEVIATIONS)
def test_deviations(source: str, expected: Any, reason: str, google: Google) -> None:
    try:
        found = ours(source)
    except CompileError:
        found = REFUSED
    assert found == (expected if expected in (ERROR, REFUSED) else plain(expected)), reason
    try:
        theirs = google(source)
    except RuntimeError:
        theirs = REFUSED
    assert theirs != found, f"no deviation any more: {reason}"


LEFT_OUT: Final = {
    "messages": ["google.protobuf.Int64Value{value: 1}", "Type{}"],
    "optionals": ["data.?owner", "data[?'a']", "[?data.a]", "optional.none()", "optional.of(1)"],
    "names from the root": [".data", ".size([1])"],
    "macros of two variables": ["[1].all(i, v, v == 1)", "{'a': 1}.exists(k, v, v == 1)"],
    "macros that make maps": ["[1].transformMap(i, v, v)", "[1].transformList(i, v, v)"],
    "cel.block": ["cel.block([1], cel.index(0))"],
    "formats of strings": ["'%s'.format(['a'])", "strings.quote('a')"],
    "encoders": ["base64.encode(b'a')", "base64.decode('YQ==')"],
    "sets and lists": ["sets.contains([1], [1])", "lists.range(3)", "[[1]].flatten()"],
    "networks": ["ip('127.0.0.1')", "cidr('10.0.0.0/8')"],
    "extensions of messages": ["proto.hasExt(data, a.b)", "proto.getExt(data, a.b)"],
}
"""Parts of the language, and libraries other implementations offer, that are no part of ours."""


@pytest.mark.rule("E108")
@pytest.mark.parametrize("part", LEFT_OUT)
def test_what_is_left_out_is_refused(part: str) -> None:
    for source in LEFT_OUT[part]:
        with pytest.raises(CompileError):
            make_program(parse(source), ENVIRONMENT)


@pytest.mark.rule("E101")
def test_numbers_beyond_doubles_are_exact() -> None:
    assert value_of("dyn(18446744073709551615u) < 18446744073709551616.0") is True
    assert value_of("dyn(9223372036854775807) == 9223372036854775808.0") is False
    assert value_of("{9007199254740993: 1}[9007199254740993u]") == 1
    assert value_of("dyn(9223372036854775808u)") == Uint(2**63)
