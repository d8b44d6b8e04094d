"""The text of an expression → tokens. No I/O.

source   the CEL language definition, "Syntax"; spec/cel.md E1-E6
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from trice import limits
from trice.cel.errors import CompileError
from trice.cel.uint import Uint
from trice.cel.values import INT_MAX, UINT_MAX

KEYWORDS: Final = frozenset(("true", "false", "null", "in"))
RESERVED: Final = frozenset(
    (
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let"),
        *("loop", "namespace", "package", "return", "var", "void", "while"),
    )
)
"""Words that cannot name a variable; they can name a field."""

TOO_DEEP: Final = f"the expression is nested more than {limits.CEL_DEPTH_MAX} levels deep."

TokenKind = Literal["name", "quoted", "keyword", "value", "mark", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the source.

    kind    "name" · "quoted" a field in backticks · "keyword" · "value" a literal number or string
            · "mark" an operator or bracket · "end"
    text    as written; for a quoted field, the text inside
    value   of a "value"; 2^63 is possible because a minus may precede it
    at      character offset
    """

    kind: TokenKind
    text: str
    at: int
    value: int | Uint | float | str | bytes = 0


_TOKEN: Final = re.compile(
    r"""
      (?P<space>(?:[ \t\r\n\f]+|//[^\n]*)+)
    | (?P<string>(?P<prefix>[rR][bB]?|[bB][rR]?|)
        (?P<quote>\"\"\"|'''|"|'))
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?
        |[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?
        |[0-9]+[eE][+-]?[0-9]+
        |[0-9]+[uU]?)
    | (?P<word>[_a-zA-Z][_a-zA-Z0-9]*)
    | (?P<quoted>`[^`\n]*`)
    | (?P<mark>&&|\|\||[<>=!]=|[-+*/%<>!?:.,(){}\[\]])
    """,
    re.VERBOSE,
)

_SIMPLE_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<octal>[0-3][0-7]{2})|[xX](?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<simple>[\\abfnrtv?\"'`]))"
)


def position_error(source: str, at: int, message: str) -> CompileError:
    """A CompileError at a character offset of `source`."""
    before = source[:at]
    line = before.count("\n") + 1
    return CompileError(message, line=line, column=at - (before.rfind("\n") + 1) + 1)


def lex(source: str) -> list[Token]:
    """Cut `source` into tokens, the last being "end".

    raises   CompileError
    """
    if len(source) > limits.CEL_SOURCE_CHARS_MAX:
        message = f"the expression has {len(source):,} characters; at most "
        raise position_error(source, 0, f"{message}{limits.CEL_SOURCE_CHARS_MAX:,} are allowed.")
    tokens: list[Token] = []
    at = 0
    depth = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise position_error(source, at, _unknown(source[at]))
        text = found.group()
        match found.lastgroup:
            case "space":
                pass
            case "word":
                tokens.append(Token("keyword" if text in KEYWORDS else "name", text, at))
            case "mark":
                tokens.append(Token("mark", text, at))
                depth += (text in "([{") - (text in ")]}")
                if depth > limits.CEL_DEPTH_MAX:
                    raise position_error(source, at, TOO_DEEP)
            case "quoted":
                tokens.append(Token("quoted", text[1:-1], at))
            case "number":
                tokens.append(Token("value", text, at, _number(source, at, text)))
            case _:
                token = _string(source, at, found)
                tokens.append(token)
                text = token.text
        at += len(text)
    tokens.append(Token("end", "", len(source)))
    return tokens


def _unknown(character: str) -> str:
    advice = {
        "=": " Compare with `==`.",
        "&": " Write `&&` for `and`.",
        "|": " Write `||` for `or`.",
        "`": " A field in backticks ends on the same line.",
        **dict.fromkeys("“”„«»″", ' Write a straight quote, `"`.'),
        **dict.fromkeys("‘’‚‹›′´", " Write a straight quote, `'`."),
        **dict.fromkeys("–—−", " Write a plain minus, `-`."),
        "≠": " Write `!=`.",
        "≤": " Write `<=`.",
        "≥": " Write `>=`.",
        ";": " A rule is one expression; join conditions with `&&` or `||`.",
    }
    return f"unexpected character {character!r}.{advice.get(character, '')}"


def _number(source: str, at: int, text: str) -> int | Uint | float:
    if source[at + len(text) : at + len(text) + 1].isalnum():
        raise position_error(source, at, f"a number ends in a letter: {text}….")
    digits = text.lower()
    if not digits.startswith("0x") and any(mark in digits for mark in ".e"):
        double = float(digits)
        if double in (float("inf"), float("-inf")):
            raise position_error(source, at, f"{text} is beyond the range of a double.")
        return double
    if len(digits) > 40:
        raise position_error(source, at, "the number is beyond the 64 bits of an int.")
    is_unsigned = digits.endswith("u")
    number = int(digits.removesuffix("u"), 0 if digits.startswith("0x") else 10)
    if is_unsigned:
        if number > UINT_MAX:
            raise position_error(source, at, f"{text} is beyond the 64 bits of a uint.")
        return Uint(number)
    # One more than the largest int is allowed: `-9223372036854775808` is its negative.
    if number > INT_MAX + 1:
        raise position_error(source, at, f"{text} is beyond the 64 bits of an int.")
    return number


def _string(source: str, at: int, found: re.Match[str]) -> Token:
    prefix = found["prefix"].lower()
    quote = found["quote"]
    start = found.end()
    end = start
    while not source.startswith(quote, end):
        if end >= len(source) or (len(quote) == 1 and source[end] in "\r\n"):
            raise position_error(source, at, f"the string is not closed; {quote} is expected.")
        end += 2 if source[end] == "\\" and "r" not in prefix else 1
    body = source[start:end]
    text = source[at : end + len(quote)]
    if "r" in prefix or "\\" not in body:
        value = body.encode() if "b" in prefix else body
        return Token("value", text, at, value)
    return Token("value", text, at, _unescape(source, start, body, is_bytes="b" in prefix))


def _unescape(source: str, start: int, body: str, *, is_bytes: bool) -> str | bytes:
    parts: list[str] = []
    octets: list[bytes] = []
    at = 0
    while at < len(body):
        escape = body.find("\\", at)
        end = len(body) if escape < 0 else escape
        parts.append(body[at:end])
        octets.append(body[at:end].encode())
        if escape < 0:
            break
        found = _ESCAPE.match(body, escape)
        if found is None or (is_bytes and (found["short"] or found["long"])):
            message = f"unknown escape {body[escape : escape + 2]}; double the backslash, or "
            raise position_error(source, start + escape, f"{message}write r'…' for a raw string.")
        code = _escaped_code(found)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise position_error(source, start + escape, f"{found.group()} is no character.")
        parts.append(chr(code))
        octets.append(chr(code).encode() if found["simple"] else bytes((code & 0xFF,)))
        at = found.end()
    return b"".join(octets) if is_bytes else "".join(parts)


def _escaped_code(found: re.Match[str]) -> int:
    if found["simple"]:
        return ord(_SIMPLE_ESCAPES[found["simple"]])
    if found["octal"]:
        return int(found["octal"], 8)
    return int(found["hex"] or found["short"] or found["long"], 16)
