"""Random view rules for the notes of `support.notes`, and random notes. Seeded; no I/O."""

from __future__ import annotations

import random
from typing import Any

from support.library import uid
from support.notes import Notes

TEXTS = ("", "a", "ab", "a%b", "A_", "Ab", "a\\b", "é", "zz", "[a*", "ß", uid(1))
NUMBERS = (0, 1, -1, 2, 2.5, 1.0, 2**53, 2**53 + 1, 9007199254740992.0, 1e300, -0.0)
DATES = ("2025-01-02", "2025-01-02T00:00:00Z", 1735776000000, "2024-12-31")
JSONS: tuple[Any, ...] = ({"k": 1}, [1, "a"], [], {}, "a", 1, 1.0, True, False, [None])
ANY: tuple[Any, ...] = (*TEXTS[:6], *NUMBERS[:5], *JSONS)
USERS = (1, 2, 3)
TEAMS = (50, 51)
TAGS = (60, 61, 62)
NOTES = tuple(range(10, 18))
LABELS = ("title", "n", "done", "day", "kind", "sub", "size", "when", "flag", "note")
LINKS = ("owner", "team", "parent")
PATHS = (
    *("tags.name", "tags.id", "tags.level", "tags", "owner.role", "owner.team.name", "owner"),
    *("owner.team.id", "team.members.id", "children.id", "children.title", "parent.owner.id"),
    *("tags.notes.owner.id", "parent.parent.n", "title", "id", "children", "parent.day"),
)
BAD_PATHS = ("nope.id", "title.id", "owner.nope", "")
AUTH_PATHS = ("$user.team.id", "$user.notes.id", "$user.team.name", "$user.notes.tags.id")


def fill(notes: Notes, draw: random.Random) -> None:
    """Users, teams, tags and notes with gaps everywhere: nulls, stubs, links to nothing."""
    library = notes.library
    for number in TEAMS:
        library.add("teams", number, **_some(draw, name=draw.choice(ANY)))
    for number in USERS:
        values = _some(draw, role=draw.choice(("admin", "x", 1)), team=draw.choice((*TEAMS, 99)))
        library.add("$users", number, email=f"u{number}@a.b", **values)
    for number in TAGS:
        values = _some(draw, name=draw.choice(ANY), level=draw.choice(NUMBERS))
        library.add("tags", number, created=None if draw.random() < 0.2 else -1, **values)
    for number in NOTES:
        values = {label: _value(draw, label) for label in LABELS}
        links = {
            "owner": draw.choice((*USERS, 99)),
            "team": draw.choice((*TEAMS, 99)),
            "parent": draw.choice((*NOTES, 99)),
        }
        stub = None if draw.random() < 0.1 else -1
        library.add("notes", number, created=stub, **_some(draw, **values, **links))
        library.pair("notes", "tags", number, *(t for t in (*TAGS, 99) if draw.random() < 0.4))


def _some(draw: random.Random, **values: Any) -> dict[str, Any]:
    return {label: value for label, value in values.items() if draw.random() < 0.7}


def _value(draw: random.Random, label: str) -> Any:
    if draw.random() < 0.15:
        return None
    return draw.choice(
        {
            **dict.fromkeys(("title", "sub"), TEXTS),
            **dict.fromkeys(("n", "size"), NUMBERS),
            **dict.fromkeys(("done", "flag"), (True, False)),
            **dict.fromkeys(("day", "when"), DATES),
        }.get(label, ANY)
    )


PARAMS: dict[str, Any] = {
    "text": "a",
    "number": 1,
    "truth": True,
    "list": ["a", 1, None, uid(1), True],
    "ids": [uid(1), uid(2), uid(50), "x", None],
    "map": {"k": "a"},
    "note": uid(12),
}


class Grammar:
    """Draws expressions. `binds` are the names of binds that may be used."""

    def __init__(self, draw: random.Random, binds: tuple[str, ...] = ()) -> None:
        self._draw = draw
        self._binds = binds

    def rule(self, depth: int = 4) -> str:
        """A whole rule; any kind of value is fine."""
        draw = self._draw.random()
        if draw < 0.05:
            return self.operand()
        if draw < 0.15:
            return f"{self.boolean(2)} ? {self.rule(1)} : {self.rule(1)}"
        return self.boolean(depth)

    def boolean(self, depth: int) -> str:
        draw = self._draw
        if depth <= 0 or draw.random() < 0.25:
            return self.leaf()
        kind = draw.random()
        if kind < 0.35:
            joined = " && ".join(self.boolean(depth - 1) for _ in range(draw.choice((2, 2, 3))))
            return f"({joined})"
        if kind < 0.65:
            joined = " || ".join(self.boolean(depth - 1) for _ in range(draw.choice((2, 2, 3))))
            return f"({joined})"
        if kind < 0.75:
            return f"!({self.boolean(depth - 1)})"
        if kind < 0.82:
            parts = [self.boolean(depth - 1) for _ in range(3)]
            return "({} ? {} : {})".format(*parts)
        if kind < 0.86:
            return f"cel.bind(v, {self.operand()}, v != null && {self.boolean(depth - 1)})"
        return self.guarded()

    def guarded(self) -> str:
        """A test that fails on null, with its guard."""
        label = self._draw.choice(LABELS)
        test = self.failing(label)
        guard, word = self._draw.choice((("!= null", "&&"), ("== null", "||")))
        if self._draw.random() < 0.3:
            # The guard may also guard nothing, or something else.
            guard = self._draw.choice(("!= null", "== null", f"== {self.known()}", "!= 'a'"))
            word = self._draw.choice(("&&", "||"))
            label = self._draw.choice((label, label, self._draw.choice(LABELS)))
        sides = [f"data.{label} {guard}", test]
        self._draw.shuffle(sides)
        return f"({sides[0]} {word} {sides[1]})"

    def failing(self, label: str) -> str:
        """A test that fails where `label` is null, or of another kind than expected."""
        draw = self._draw
        match label:
            case "title" | "sub":
                function = draw.choice(("startsWith", "endsWith", "contains"))
                if draw.random() < 0.3:
                    return f"data.{label} {self.sign()} {_literal(draw.choice(TEXTS))}"
                return f"data.{label}.{function}({_literal(draw.choice(TEXTS))})"
            case "n" | "size":
                number = _literal(draw.choice(NUMBERS))
                if draw.random() < 0.3:
                    return f"{number} {self.sign()} data.{label}"
                return f"data.{label} {self.sign()} {number}"
            case "done" | "flag":
                return f"data.{label}"
            case "day" | "when":
                return f"timestamp(data.{label}) {self.sign()} request.time"
            case _:
                return draw.choice(
                    (f"size(data.{label}) > 0", f"data.{label}.k == 1", f"data.{label} < 1")
                )

    def sign(self) -> str:
        return self._draw.choice(("<", "<=", ">", ">="))

    def leaf(self) -> str:
        draw = self._draw
        kind = draw.random()
        path = _literal(draw.choice(PATHS))
        if kind < 0.35:
            sign = draw.choice(("==", "!="))
            sides = [f"data.{draw.choice((*LABELS, *LINKS, 'id', 'nope', 'tags'))}", self.known()]
            draw.shuffle(sides)
            return f"{sides[0]} {sign} {sides[1]}"
        if kind < 0.45:
            listed = draw.choice(
                (
                    "ruleParams.list",
                    "ruleParams.ids",
                    f"auth.ref('{draw.choice(AUTH_PATHS)}')",
                    f"[{', '.join(self.known() for _ in range(draw.randint(0, 4)))}]",
                )
            )
            return f"data.{draw.choice((*LABELS, *LINKS, 'id'))} in {listed}"
        if kind < 0.6:
            return f"{self.known()} in data.ref({path})"
        if kind < 0.7:
            return draw.choice(
                (
                    f"data.ref({path}) == []",
                    f"data.ref({path}) != []",
                    f"size(data.ref({path})) {self.sign()} {draw.choice((0, 1, 2))}",
                    f"data.ref({path}).size() == {draw.choice((0, 1))}",
                )
            )
        if kind < 0.74:
            return f"data.ref({path}).exists(x, x == {self.known()})"
        if kind < 0.76:
            return f"data.ref({_literal(draw.choice(BAD_PATHS))}) == []"
        if kind < 0.78:
            return f"data.ref(ruleParams.text == 'a' ? 'tags.id' : {path}) != []"
        if kind < 0.84:
            return self.failing(draw.choice(LABELS))
        if kind < 0.9:
            return draw.choice(("true", "false", "auth.id != null", "auth.role == 'admin'"))
        if kind < 0.93 and self._binds:
            return draw.choice(self._binds)
        if kind < 0.96:
            return f"data.{draw.choice(LABELS)} == data.{draw.choice(LABELS)}"
        return draw.choice(
            ("has(data.title)", "'title' in data", "auth.ref('$user.team.id') != []")
        )

    def known(self) -> str:
        """A value that does not depend on the entity."""
        draw = self._draw
        kind = draw.random()
        if kind < 0.1:
            found = uid(draw.choice((*USERS, *TEAMS, *TAGS, *NOTES, 99)))
            return _literal(draw.choice((found, found, found, found.upper())))
        if kind < 0.55:
            return _literal(draw.choice((*ANY, *DATES, None, *NUMBERS)))
        if kind < 0.6:
            return draw.choice(("1u", "0.0 / 0.0", "b'a'", "request.time", "1 / 0", "[1.0, 'a']"))
        return draw.choice(
            (
                *("auth.id", "auth.id", "auth.team", "auth.role", "auth.email", "auth.nope.x"),
                *(f"ruleParams.{key}" for key in ("text", "number", "truth", "note", "none")),
                *("ruleParams.map.k", "request.ip", "request.origin", "auth.isGuest"),
            )
        )

    def operand(self) -> str:
        draw = self._draw
        return draw.choice(
            (
                f"data.{draw.choice((*LABELS, *LINKS, 'id', 'nope'))}",
                f"data.ref({_literal(draw.choice(PATHS))})",
                self.known(),
                f"size(data.ref({_literal(draw.choice(PATHS))}))",
            )
        )


def _literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            return "{" + ", ".join(f"'{k}': {_literal(v)}" for k, v in value.items()) + "}"
        case _:
            return repr(value)
