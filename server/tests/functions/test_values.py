"""Arguments and results of every kind: accepted, refused, cut."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from support.function_stage import write_project
from trice.functions.frames import Call, Caller, Done, Fail
from trice.functions.loading import LoadErrors, load_program
from trice.functions.program import Program

HEAD = """
from __future__ import annotations
import msgspec
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NewType, NotRequired, TypedDict
from uuid import UUID
from trice.functions import (
    Ge, Gt, Id, Label, Le, Len, Lt, MaxLen, MinLen, Mutation, Predicate, Query, View, mutation,
    query,
)
from schema import Db, Note, User

class Color(StrEnum):
    RED = "red"
    BLUE = "blue"

class Level(IntEnum):
    LOW = 1

@dataclass
class Point:
    x: int
    y: Annotated[int, Le(9)] = 0
    tags: list[str] = field(default_factory=list)

class Shape(TypedDict):
    name: Annotated[str, MaxLen(3)]
    note: NotRequired[Id[Note]]

class Size(msgspec.Struct):
    width: Annotated[int, Ge(0)]
    unit: str = "px"

class Cat(msgspec.Struct, tag=True):
    lives: int

class Dog(msgspec.Struct, tag=True):
    name: Annotated[str, MinLen(1)]

@dataclass
class Tree:
    below: list[Tree]
    note: Id[Note] | None = None

class Node(TypedDict):
    note: Id[Note]
    next: NotRequired[Node]

class Chain(msgspec.Struct):
    note: Id[Note]
    next: Chain | None = None

class Link(msgspec.Struct):
    name: str
    next: Link | None = None

class NoteView(View[Note]):
    id: Id[Note]
    owner: OwnerView | None = None

class OwnerView(View[User]):
    nickname: str | None

UserName = NewType("UserName", str)

def even(value: int) -> bool:
    return value % 2 == 0

"""
SCHEMA = """
from typing import Annotated
from datetime import datetime
from trice.schema import Indexed, Namespace, One, Schema, Table, Users, link

class User(Users):
    nickname: str | None

class Note(Namespace):
    text: str
    owner: One[User] | None = link(back="notes")

class Db(Schema):
    users: Table[User]
    notes: Table[Note]
"""
ID = "e0000001-0000-4000-8000-000000000000"


def program(folder: Path, text: str) -> Program:
    files = {"schema.py": SCHEMA, "functions/a.py": HEAD + text}
    return load_program(write_project(folder, files), {})


async def call(made: Program, args: bytes, name: str = "a.f") -> Done | Fail:
    caller = Caller()
    asked = Call(
        call=1, function=name, args=args, caller=caller, left_ms=1, now_ms=1, seed="", trace=""
    )
    return await made.run(asked, None)  # type: ignore[arg-type]  # it asks for nothing


async def echo(folder: Path, hint: str, value: Any) -> Any:
    """What comes back of a value; the hint of a failure."""
    result = hint if "Predicate" not in hint and "types." not in hint else "Any"
    text = (
        f"import sys\ntypes: Any = sys.modules.get('annotated_types')\n"
        f"@query\nasync def f(ctx: Query[Db], v: {hint}) -> {result}:\n    return v\n"
    )
    done = await call(program(folder, text), msgspec.json.encode({"v": value}))
    if isinstance(done, Done):
        return msgspec.json.decode(done.value)
    return (done.code, done.data["path"], done.data["expected"], done.data["got"])


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("str", "a", None),
    ("int", 2**53, None),
    ("float", 1.5, None),
    ("bool", True, None),
    ("None", None, None),
    ("int | str | None", "a", None),
    ("Any", {"a": [1, None]}, None),
    ("Literal['a', 1]", 1, None),
    ("Color", "red", None),
    ("Level", 1, None),
    ("datetime", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678000Z"),
    ("datetime", "2026-01-02T03:04:05+02:00", None),
    ("date", "2026-01-02", None),
    ("time", "03:04:05", None),
    ("timedelta", "PT3S", None),
    ("UUID", ID, None),
    ("Decimal", "1.10", None),
    ("bytes", "YWI=", None),
    ("list[int]", [1, 2], None),
    ("Sequence[int]", [1, 2], None),
    ("tuple[int, str]", [1, "a"], None),
    ("set[int]", [1], None),
    ("dict[str, int]", {"a": 1}, None),
    ("Mapping[str, Color]", {"a": "blue"}, None),
    ("Id[Note]", ID, None),
    ("list[Id[User]]", [ID], None),
    ("UserName", "a", None),
    ("Point", {"x": 1}, {"x": 1, "y": 0, "tags": []}),
    ("Point", {"x": 1, "y": 9, "more": 1}, {"x": 1, "y": 9, "tags": []}),
    ("Shape", {"name": "abc", "note": ID}, None),
    ("Shape", {"name": "abc"}, None),
    ("Size", {"width": 1}, {"width": 1, "unit": "px"}),
    ("Cat | Dog", {"type": "Dog", "name": "a"}, None),
    ("Tree", {"below": [{"below": []}]}, {"below": [{"below": [], "note": None}], "note": None}),
    ("Node", {"note": ID, "next": {"note": ID}}, None),
    ("Link", {"name": "a", "next": {"name": "b", "next": None}}, None),
    ("Note", {"id": ID, "text": "a", "owner": {"id": ID}}, None),
    ("Annotated[int, Gt(0), Le(3)]", 3, None),
    ("Annotated[list[int], Len(1, 2)]", [1, 2], None),
    ("Annotated[int | None, Le(3)]", None, None),
    ("Annotated[str, msgspec.Meta(pattern='^a+$')]", "aa", None),
    ("Annotated[int, Predicate(even)]", 2, None),
]


@pytest.mark.rule("FN72")
@pytest.mark.parametrize(("hint", "value", "comes_back"), ACCEPTED)
async def test_a_value_of_each_type_comes_back(
    hint: str, value: Any, comes_back: Any, tmp_path: Path
) -> None:
    assert await echo(tmp_path, hint, value) == (value if comes_back is None else comes_back)


REFUSED: list[tuple[str, Any, tuple[str, str, str]]] = [
    ("int", "1", ("v", "int", '"1"')),
    ("int", 1.5, ("v", "int", "1.5")),
    ("str", None, ("v", "str", "null")),
    ("bool", 1, ("v", "bool", "1")),
    ("Literal['a', 'b']", "c", ("v", 'one of "a", "b"', '"c"')),
    ("Color", "green", ("v", 'one of "blue", "red"', '"green"')),
    ("list[Color]", ["green"], ("v[0]", "Invalid enum value 'green'", '"green"')),
    ("datetime", "2026-01-02", ("v", "a datetime with a time zone, such as", '"2026-01-02"')),
    ("UUID", "none", ("v", "a uuid", '"none"')),
    ("datetime", "2026-01-02T03:04:05", ("v", "datetime with a timezone component", "")),
    ("Id[Note]", "none", ("v", "an id: a uuid in lower case", '"none"')),
    ("Id[Note]", ID.upper(), ("v", "an id: a uuid in lower case", f'"{ID.upper()}"')),
    ("list[int]", [1, "a"], ("v[1]", "int", '"a"')),
    ("list[Point]", [{"x": 1}, {"x": 1, "y": 10}], ("v[1].y", "int <= 9", "10")),
    ("Point", {}, ("v.x", "a value", "nothing")),
    ("Shape", {"name": "abcd"}, ("v.name", "str of length <= 3", '"abcd"')),
    ("Shape", {"name": "a", "note": "b"}, ("v.note", "an id", '"b"')),
    ("Size", {"width": -1}, ("v.width", "int >= 0", "-1")),
    ("Cat | Dog", {"type": "Dog", "name": ""}, ("v.name", "str of length >= 1", '""')),
    ("Tree", {"below": [{"below": [], "note": "x"}]}, ("v.below[0].note", "an id", '"x"')),
    ("Node", {"note": ID, "next": {"note": "x"}}, ("v.next.note", "an id", '"x"')),
    ("Annotated[int, Gt(0)]", 0, ("v", "int >= 1", "0")),
    ("Annotated[int | None, Le(3)]", 4, ("v", "int <= 3", "4")),
    ("Annotated[float, Lt(1)]", 1.0, ("v", "float < 1.0", "1.0")),
    ("Annotated[list[int], Len(1)]", [], ("v", "array of length >= 1", "[]")),
    ("Annotated[int, Predicate(even)]", 3, ("v", "even", "3")),
    ("dict[str, int]", {"a": "b"}, ("v[...]", "int", "str")),
]


@pytest.mark.rule("FN70", "FN71")
@pytest.mark.parametrize(("hint", "value", "told"), REFUSED)
async def test_a_value_of_another_type_is_refused_with_its_place(
    hint: str, value: Any, told: tuple[str, str, str], tmp_path: Path
) -> None:
    code, path, expected, got = await echo(tmp_path, hint, value)
    assert (code, path) == ("bad-args", told[0])
    assert expected.startswith(told[1])
    assert told[2] in got


@pytest.mark.rule("FN70")
async def test_arguments_that_lack_or_are_unknown_are_refused(tmp_path: Path) -> None:
    made = program(
        tmp_path,
        "@query\nasync def f(ctx: Query[Db], a: int, b: int = 2) -> int:\n    return a + b\n",
    )
    done = await call(made, b'{"a": 1}')
    assert isinstance(done, Done) and done.value == b"3"
    unfit = "An argument of a.f does not fit"
    for args, message, hint in (
        (b"{}", f"{unfit} at a: expected a value, got nothing.", ("a", "a value", "nothing")),
        (b'{"a":1,"c":2}', "a.f has no argument c. It takes a, b.", ("c", "no such name", "2")),
        (b"[1]", f"{unfit}: expected object, got [1].", ("", "object", "[1]")),
    ):
        fail = await call(made, args)
        assert isinstance(fail, Fail)
        assert fail.message == message
        path, expected, got = hint
        assert fail.data == {"function": "a.f", "path": path, "expected": expected, "got": got}
    fail = await call(made, b"{")
    assert isinstance(fail, Fail) and fail.code == "bad-args"
    fail = await call(made, b'{"a":' + b"[" * 100_000)
    assert isinstance(fail, Fail) and fail.code == "bad-args"
    fail = await call(made, b'{"a":"' + b"x" * 4 * 1024**2 + b'"}')
    assert isinstance(fail, Fail) and fail.code == "call-too-big"
    fail = await call(made, b"{}", "a.g")
    assert isinstance(fail, Fail) and (fail.code, fail.data) == (
        "function-not-found",
        {"function": "a.g"},
    )


@pytest.mark.rule("FN73")
async def test_arguments_of_old_clients_are_dropped(tmp_path: Path) -> None:
    made = program(
        tmp_path,
        '@query(ignores="old")\nasync def f(ctx: Query[Db], a: int) -> int:\n    return a\n',
    )
    done = await call(made, b'{"a":1,"old":{"b":2}}')
    assert isinstance(done, Done) and done.value == b"1"
    assert list(made.signatures[0].args["properties"]) == ["a"]


@pytest.mark.rule("FN74")
async def test_defaults_are_fresh_and_labels_are_names_for_callers(tmp_path: Path) -> None:
    made = program(
        tmp_path,
        "@query\nasync def f(ctx: Query[Db], sent_at: Annotated[int, Label('sentAt')],"
        " seen: list[int] = [7]) -> list[int]:\n    seen.append(sent_at)\n    return seen\n",
    )
    for _ in range(2):
        done = await call(made, b'{"sentAt":1}')
        assert isinstance(done, Done) and done.value == b"[7,1]"
    fail = await call(made, b'{"sent_at":1}')
    assert isinstance(fail, Fail) and fail.code == "bad-args"
    assert list(made.signatures[0].args["properties"]) == ["sentAt", "seen"]


RESULTS: list[tuple[str, str, Any]] = [
    ("Point", "{'x': 1, 'secret': 2}", {"x": 1, "y": 0, "tags": []}),
    (
        "list[Size]",
        "[Size(1), {'width': 2, 'secret': 3}]",
        [{"width": 1, "unit": "px"}] * 1 + [{"width": 2, "unit": "px"}],
    ),
    ("Shape", "{'name': 'a', 'secret': 1}", {"name": "a"}),
    ("dict[str, Size]", "{'a': {'width': 1, 'secret': 2}}", {"a": {"width": 1, "unit": "px"}}),
    ("None", "None", None),
    (
        "NoteView",
        f"NoteView(id='{ID}', owner=OwnerView(nickname='a'))",
        {"id": ID, "owner": {"nickname": "a"}},
    ),
    ("list[NoteView]", f"[{{'id': '{ID}', 'text': 'a'}}]", [{"id": ID, "owner": None}]),
    ("NoteView", f"NoteView(id='{ID}')", {"id": ID, "owner": None}),
    ("Color", "Color.RED", "red"),
    ("datetime", "datetime(2026, 1, 2, tzinfo=UTC)", "2026-01-02T00:00:00Z"),
]


@pytest.mark.rule("FN80")
@pytest.mark.parametrize(("hint", "value", "leaves"), RESULTS)
async def test_what_the_hint_does_not_name_never_leaves(
    hint: str, value: str, leaves: Any, tmp_path: Path
) -> None:
    text = f"@query\nasync def f(ctx: Query[Db]) -> {hint}:\n    return {value}\n"
    done = await call(program(tmp_path, text), b"{}")
    assert isinstance(done, Done), done
    assert msgspec.json.decode(done.value) == leaves


BAD_RESULTS = {
    ("int", "'a'"): ("", "int", "str"),
    ("list[Size]", "[Size(1), Size(-1)]"): ("[1].width", "int >= 0", ""),
    ("Size", "Size('1')"): ("width", "int", "str"),
    ("datetime", "datetime(2026, 1, 2)"): ("", "datetime with a timezone component", ""),
    ("None", "1"): ("", "null", "int"),
    ("float", "float('nan')"): ("", "float", "null"),
}


@pytest.mark.rule("FN81")
@pytest.mark.parametrize(("hint", "value"), BAD_RESULTS)
async def test_a_result_of_another_type_is_no_answer(hint: str, value: str, tmp_path: Path) -> None:
    text = f"@query\nasync def f(ctx: Query[Db]) -> {hint}:\n    return {value}\n"
    fail = await call(program(tmp_path, text), b"{}")
    assert isinstance(fail, Fail) and fail.code == "bad-result"
    path, expected, got = BAD_RESULTS[hint, value]
    assert (fail.data["function"], fail.data["path"]) == ("a.f", path)
    assert fail.data["expected"].startswith(expected) and got in fail.data["got"]


@pytest.mark.rule("FN80", "FN81")
async def test_a_result_that_does_not_fit_is_told_to_the_log_only(tmp_path: Path) -> None:
    text = (
        "@dataclass\nclass Shown:\n    name: str\n    age: int\n\n\n"
        "@query\nasync def f(ctx: Query[Db]) -> list[Shown]:\n"
        "    return [{'name': 5, 'age': 1, 'hash': 'pw-hash'}, 'pw-text', {'age': 'pw-age'}]\n"
    )
    fail = await call(program(tmp_path, text), b"{}")
    assert isinstance(fail, Fail) and fail.code == "bad-result"
    assert "pw-" not in fail.message and "pw-" not in str(fail.data)
    assert "pw-hash" in fail.traceback


@pytest.mark.rule("FN81")
@pytest.mark.parametrize("value", ["object()", "lambda: 1", "LOOP"])
async def test_a_result_that_json_has_no_form_of_is_bad(value: str, tmp_path: Path) -> None:
    text = (
        "LOOP: list[Any] = []\nLOOP.append(LOOP)\n"
        f"@query\nasync def f(ctx: Query[Db]) -> Any:\n    return {value}\n"
    )
    fail = await call(program(tmp_path, text), b"{}")
    assert isinstance(fail, Fail) and fail.code == "bad-result"


@pytest.mark.rule("FN81")
async def test_a_result_may_be_too_big(tmp_path: Path) -> None:
    text = "@query\nasync def f(ctx: Query[Db]) -> str:\n    return 'x' * 8 * 1024**2\n"
    fail = await call(program(tmp_path, text), b"{}")
    assert isinstance(fail, Fail) and fail.code == "call-too-big"


@pytest.mark.rule("FN743")
async def test_a_result_may_be_too_big_to_be_cut(tmp_path: Path) -> None:
    text = (
        "class Shown(msgspec.Struct):\n    name: str\n\n\n"
        "@query\nasync def f(ctx: Query[Db], size: int) -> Shown:\n"
        "    return {'name': 'a', 'more': 'x' * size}\n"
    )
    made = program(tmp_path, text)
    assert isinstance(await call(made, b'{"size": 33000000}'), Done)
    fail = await call(made, b'{"size": 34000000}')
    assert isinstance(fail, Fail) and fail.code == "call-too-big"


@pytest.mark.rule("FN71")
async def test_bounds_of_annotated_types_are_taken_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType("annotated_types")

    def mark(name: str, *fields: str) -> None:
        made: Any = msgspec.defstruct(name, [(field, Any, None) for field in fields])
        made.__module__ = "annotated_types"
        setattr(package, name, made)

    mark("Interval", "gt", "ge", "lt", "le")
    mark("Le", "le")
    mark("Unit", "unit")
    monkeypatch.setitem(sys.modules, "annotated_types", package)
    assert await echo(tmp_path, "Annotated[int, types.Interval(ge=2, lt=4)]", 3) == 3
    for hint, value in (("types.Interval(ge=2, lt=4)", 4), ("types.Le(3)", 4)):
        code, *_ = await echo(tmp_path, f"Annotated[int, {hint}]", value)
        assert code == "bad-args"
    with pytest.raises(LoadErrors, match="is no bound here"):
        await echo(tmp_path, "Annotated[int, types.Unit(unit='m')]", 1)


class FakeModel:
    """What functions ask of a model of pydantic."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    @classmethod
    def model_validate(cls, value: Any) -> FakeModel:
        if not isinstance(value, dict):
            raise ValueError("Input should be a valid dictionary")
        return cls(value)

    def model_dump(self, *, mode: str) -> Any:
        assert mode == "json"
        return self.value

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "title": "Model"}


@pytest.mark.rule("FN75")
async def test_models_of_pydantic_check_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pydantic = ModuleType("pydantic")
    pydantic.BaseModel = FakeModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pydantic", pydantic)
    text = (
        "import pydantic\nclass Model(pydantic.BaseModel): ...\n"
        "@query\nasync def f(ctx: Query[Db], v: list[Model]) -> list[Model]:\n    return v\n"
    )
    made = program(tmp_path, text)
    done = await call(made, b'{"v":[{"a":1}]}')
    assert isinstance(done, Done) and done.value == b'[{"a":1}]'
    fail = await call(made, b'{"v":[1]}')
    assert isinstance(fail, Fail) and fail.code == "bad-args"
    assert fail.data["path"] == "v[0]"
    assert made.signatures[0].args["properties"]["v"]["items"] == FakeModel.model_json_schema()


@pytest.mark.rule("FN63")
@pytest.mark.parametrize(
    "hint",
    [
        "Cat | Size",
        "list[Sequence]",
        "Annotated[str, Le(3)]",
        "Chain",
        "list[Annotated[int, Predicate(even)]]",
        "Annotated[int, Le]",
    ],
)
async def test_what_cannot_be_checked_is_a_load_error(hint: str, tmp_path: Path) -> None:
    text = f"@query\nasync def f(ctx: Query[Db], v: {hint}) -> None: ...\n"
    with pytest.raises(LoadErrors) as raised:
        program(tmp_path, text)
    assert [each.file for each in raised.value.errors] == ["functions/a.py"]
