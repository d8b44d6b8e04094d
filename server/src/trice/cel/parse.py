"""The text of an expression → its tree. Macros become nodes of their own. No I/O.

    expression = or ["?" or ":" expression]      or = and {"||" and}     and = relation {"&&" …}
    relation = sum {(< <= > >= == != in) sum}    sum = product {(+ -) …} product = unary {(* / %) …}
    unary = {"!" | "-"} member                   member = primary {.field | .call() | [index]}

source   the CEL language definition, "Syntax" and "Macros"; spec/cel.md E1-E12
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from trice import limits
from trice.cel.ast import (
    Bind,
    Call,
    Choice,
    Has,
    Junction,
    ListOf,
    Literal,
    Loop,
    MacroName,
    MapOf,
    Name,
    Node,
    Select,
    walk,
)
from trice.cel.lex import RESERVED, TOO_DEEP, Token, lex, position_error
from trice.cel.values import INT_MAX

_BINARY: Final = (
    frozenset(("<", "<=", ">", ">=", "==", "!=", "in")),
    frozenset("+-"),
    frozenset("*/%"),
)
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "is": "==", "equals": "=="}
"""Words of other languages, and the operators here."""

FAILURE: Final = "fails!"
"""The function that `unusable` calls. No text can call it: names have no exclamation mark."""

_MACROS: Final = ("all", "exists", "exists_one", "map", "filter")


@dataclass(frozen=True, slots=True)
class Expression:
    """One parsed text. `root` has at most CEL_NODES_MAX nodes, CEL_DEPTH_MAX deep."""

    source: str
    root: Node


def parse(source: str) -> Expression:
    """Read an expression.

    raises   CompileError with line and column, saying what was expected
    cost     about 1 µs a character
    """
    parser = _Parser(source)
    root = parser.expression()
    parser.expect_end()
    for count, (node, depth) in enumerate(walk(root), start=1):
        if depth > limits.CEL_DEPTH_MAX:
            raise position_error(source, node.at, TOO_DEEP)
        if count > limits.CEL_NODES_MAX:
            message = f"the expression has more than {limits.CEL_NODES_MAX:,} parts."
            raise position_error(source, node.at, message)
    return Expression(source, root)


def unusable(source: str, reason: str) -> Expression:
    """An expression in place of a text that is none but must be kept. Evaluating it fails."""
    return Expression(source, Call(FAILURE, None, (Literal(reason, at=0),), at=0))


class _Parser:
    """Holds the position in the tokens, and the depth in brackets."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = lex(source)
        self._next = 0
        self._depth = 0

    def expression(self) -> Node:
        """A whole expression, `? :` included."""
        self._depth += 1
        if self._depth > limits.CEL_DEPTH_MAX:
            raise position_error(self._source, self._token.at, TOO_DEEP)
        condition = self._junction()
        if self._take("?"):
            then = self._junction()
            self._expect(":", "the other value of `? :`")
            node: Node = Choice(condition, then, self.expression(), at=condition.at)
        else:
            node = condition
        self._depth -= 1
        return node

    def expect_end(self) -> None:
        """Refuse any further token."""
        if self._token.kind != "end":
            raise self._unexpected("an operator or the end")

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _take(self, mark: str) -> Token | None:
        token = self._token
        if token.kind == "mark" and token.text == mark:
            return self._advance()
        return None

    def _expect(self, mark: str, purpose: str) -> Token:
        return self._take(mark) or self._fail(f"`{mark}` for {purpose}")

    def _fail(self, expected: str) -> Token:
        raise self._unexpected(expected)

    def _unexpected(self, expected: str) -> Exception:
        token = self._token
        found = "end" if token.kind == "end" else f"`{token.text}`"
        operator = _WORDS.get(token.text.lower()) if token.kind == "name" else None
        advice = f" Write `{operator}` for `{token.text}`." if operator is not None else ""
        return position_error(
            self._source, token.at, f"unexpected {found}; {expected} is expected.{advice}"
        )

    def _junction(self) -> Node:
        either = [self._all_of()]
        while self._take("||"):
            either.append(self._all_of())
        return either[0] if len(either) == 1 else Junction("||", tuple(either), at=either[0].at)

    def _all_of(self) -> Node:
        every = [self._binary(0)]
        while self._take("&&"):
            every.append(self._binary(0))
        return every[0] if len(every) == 1 else Junction("&&", tuple(every), at=every[0].at)

    def _binary(self, level: int) -> Node:
        """Operators of this precedence or tighter, grouped from the left."""
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while self._token.kind in ("mark", "keyword") and self._token.text in _BINARY[level]:
            operator = self._advance()
            right = self._binary(level + 1)
            left = Call(f"_{operator.text}_", None, (left, right), at=operator.at)
        return left

    def _unary(self) -> Node:
        signs: list[Token] = []
        while (sign := self._take("!") or self._take("-")) is not None:
            signs.append(sign)
        token = self._token
        if signs and signs[-1].text == "-" and type(token.value) in (int, float):
            if token.kind == "value" and self._tokens[self._next + 1].text not in (".", "["):
                self._advance()
                assert isinstance(token.value, int | float)
                node: Node = Literal(-token.value, at=signs.pop().at)
            else:
                node = self._member()
        else:
            node = self._member()
        for sign in reversed(signs):
            node = Call(f"{sign.text}_", None, (node,), at=sign.at)
        return node

    def _member(self) -> Node:
        node = self._primary()
        while True:
            if self._take("."):
                node = self._field_or_call(node)
            elif (bracket := self._take("[")) is not None:
                index = self.expression()
                self._expect("]", "the end of the index")
                node = Call("_[_]", None, (node, index), at=bracket.at)
            elif isinstance(node, Name | Select) and self._token.text == "{":
                message = "messages such as `Type{field: 1}` are not supported; write a map."
                raise position_error(self._source, self._token.at, message)
            else:
                return node

    def _field_or_call(self, target: Node) -> Node:
        token = self._token
        if token.kind not in ("name", "quoted"):
            raise self._unexpected("the name of a field or function")
        self._advance()
        if token.kind == "name" and self._take("("):
            arguments = self._list(")", "the arguments")
            return self._macro(target, token, arguments) or Call(
                token.text, target, arguments, at=token.at
            )
        return Select(target, token.text, at=token.at)

    def _macro(self, target: Node, name: Token, arguments: tuple[Node, ...]) -> Node | None:
        if target == Name("cel", at=0) and name.text == "bind":
            if len(arguments) != 3:
                message = "cel.bind takes three arguments: (name, value, expression)."
                raise position_error(self._source, name.at, message)
            variable = self._variable(arguments[0], "cel.bind")
            return Bind(variable, arguments[1], arguments[2], at=name.at)
        if name.text not in _MACROS:
            return None
        is_long = name.text == "map" and len(arguments) == 3
        if len(arguments) != 2 and not is_long:
            message = f"{name.text} takes two arguments: (name, expression)."
            raise position_error(self._source, name.at, message)
        variable = self._variable(arguments[0], name.text)
        condition = arguments[1] if is_long else None
        macro = cast(MacroName, name.text)
        return Loop(macro, target, variable, condition, arguments[-1], at=name.at)

    def _variable(self, node: Node, macro: str) -> str:
        if isinstance(node, Name):
            return node.name
        message = f"the first argument of {macro} is the plain name of a variable."
        raise position_error(self._source, node.at, message)

    def _primary(self) -> Node:
        token = self._token
        match token.kind, token.text:
            case "value", _:
                self._advance()
                if type(token.value) is int and token.value > INT_MAX:
                    message = f"{token.text} is beyond the 64 bits of an int."
                    raise position_error(self._source, token.at, message)
                return Literal(token.value, at=token.at)
            case "keyword", ("true" | "false" | "null") as word:
                self._advance()
                return Literal({"true": True, "false": False}.get(word), at=token.at)
            case "name", name if name not in RESERVED:
                return self._name_or_call(self._advance())
            case "name", word:
                message = f"`{word}` is a reserved word and cannot name a variable."
                raise position_error(self._source, token.at, message)
            case "mark", "(":
                self._advance()
                node = self.expression()
                self._expect(")", "the closing bracket")
                return node
            case "mark", "[":
                self._advance()
                return ListOf(self._list("]", "the list"), at=token.at)
            case "mark", "{":
                self._advance()
                return MapOf(self._entries(), at=token.at)
            case _:
                raise self._unexpected("a value")

    def _name_or_call(self, name: Token) -> Node:
        if not self._take("("):
            return Name(name.text, at=name.at)
        arguments = self._list(")", "the arguments")
        if name.text != "has":
            return Call(name.text, None, arguments, at=name.at)
        match arguments:
            case (Select(operand=operand, field=field),):
                return Has(operand, field, at=name.at)
            case _:
                message = "has takes one field, as in `has(data.title)`."
                raise position_error(self._source, name.at, message)

    def _list(self, closing: str, what: str) -> tuple[Node, ...]:
        """Expressions up to `closing`; the last may have a comma."""
        items: list[Node] = []
        while not self._take(closing):
            items.append(self.expression())
            if not self._take(","):
                self._expect(closing, f"the end of {what}, or a comma")
                break
        return tuple(items)

    def _entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self._take("}"):
            key = self.expression()
            self._expect(":", "the value of the key")
            entries.append((key, self.expression()))
            if not self._take(","):
                self._expect("}", "the end of the map, or a comma")
                break
        return tuple(entries)
