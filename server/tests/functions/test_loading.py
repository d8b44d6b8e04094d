"""Projects that are loaded, and projects that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.function_stage import PROJECTS, write_project
from trice.functions.frames import Call, Caller, LoadError
from trice.functions.loading import LoadErrors, load_program

SCHEMA = """
from typing import Annotated
from datetime import datetime
from trice.schema import Indexed, Many, Namespace, One, Schema, Table, Users, link

class User(Users):
    nickname: str | None

class Note(Namespace):
    text: str
    at: Annotated[datetime, Indexed] | None
    owner: One[User] | None = link(back="notes")

class Db(Schema):
    users: Table[User]
    notes: Table[Note]
"""
WORDS = (
    "from trice.functions import (Action, Id, Le, Mutation, Page, Paged, Query, Sub, View, action,"
    " internal, mutation, query)\nfrom schema import Db, Note, User\n"
)
PLAIN = "from trice import sync; from trice.functions import Mutation, Query, mutation, query\n"


def told(folder: Path, files: dict[str, str]) -> list[tuple[str, int | None, str]]:
    """The errors of a project."""
    with pytest.raises(LoadErrors) as raised:
        load_program(write_project(folder, files), {})
    return [(each.file, each.line, each.message) for each in raised.value.errors]


@pytest.mark.rule("FN60")
def test_a_function_is_called_by_its_module_path_and_name(tmp_path: Path) -> None:
    names = [each.name for each in load_program(PROJECTS / "chat", {}).signatures]
    assert names == [
        *("channels.all_of_them", "channels.with_messages", "channels.create", "channels.join"),
        *("channels.welcome", "channels.rename", "channels.tidy"),
        *("messages.recent", "messages.history", "messages.send", "messages.edit"),
        "messages.remove",
    ]
    project = write_project(
        tmp_path,
        {
            "functions/billing/invoices.py": PLAIN
            + "@query\nasync def pay_now(ctx: Query) -> None: ...\n",
            "functions/billing/__init__.py": PLAIN
            + "@query\nasync def all(ctx: Query) -> None: ...\n",
            "functions/_shared.py": PLAIN + "@query\nasync def unseen(ctx: Query) -> None: ...\n",
            "functions/a.py": PLAIN
            + "from functions._shared import unseen\n"
            + "from functions.billing.invoices import pay_now\n"
            + "@query\nasync def _own(ctx: Query) -> None: ...\n"
            + "@query\nasync def shown(ctx: Query) -> None: ...\n"
            + "also_called = shown\n",
        },
    )
    names = [each.name for each in load_program(project, {}).signatures]
    assert sorted(names) == ["a.shown", "billing.all", "billing.invoices.pay_now"]


@pytest.mark.rule("FN61")
def test_all_errors_are_told_at_once_each_with_its_place(tmp_path: Path) -> None:
    assert told(
        tmp_path,
        {
            "functions/a.py": "def broken(:\n",
            "functions/b.py": "import absent_package\n",
            "functions/c.py": "\n\nimport functions.d\n",
            "functions/d.py": "x = 1\ny = x.missing\n",
            "functions/e.py": PLAIN + "@query\nasync def f(ctx: Query, a, b) -> int: ...\n",
            "functions/f-g.py": "",
        },
    ) == [
        ("functions/a.py", 1, "invalid syntax"),
        ("functions/b.py", 1, "ModuleNotFoundError: No module named 'absent_package'"),
        ("functions/d.py", 2, "AttributeError: 'int' object has no attribute 'missing'"),
        ("functions/e.py", 3, "a has no type hint"),
        (
            "functions/f-g.py",
            None,
            "f-g is no name of a module: letters, digits and _, no digit first",
        ),
    ]


@pytest.mark.rule("FN61")
def test_modules_that_import_each_other_are_told_by_their_paths_in_the_project(
    tmp_path: Path,
) -> None:
    errors = told(
        tmp_path,
        {
            "functions/a.py": "from functions.b import B\nA = 1\n",
            "functions/b.py": "from functions.a import A\nB = 1\n",
        },
    )
    assert [(file, line) for file, line, _ in errors] == [
        ("functions/a.py", 1),
        ("functions/b.py", 1),
    ]
    for (_, _, message), other in zip(errors, ("b", "a"), strict=True):
        assert "circular import" in message and message.endswith(f"(functions/{other}.py)")


@pytest.mark.rule("FN61")
def test_a_project_without_functions_says_so(tmp_path: Path) -> None:
    assert told(tmp_path, {"a.py": ""}) == [
        ("functions", None, "The project has no folder functions/")
    ]


@pytest.mark.rule("FN62")
def test_a_module_beside_a_folder_of_its_name_is_refused(tmp_path: Path) -> None:
    ((file, _, message),) = told(tmp_path, {"functions/a.py": "", "functions/a/b.py": ""})
    assert (file, message) == (
        "functions/a.py",
        "a.py stands beside a folder a/: one of them hides the other",
    )


DECLARED = {
    "async def f(ctx) -> None: ...": "A query takes ctx: Query[Db] first, not one without a hint",
    "async def f(ctx: Mutation) -> None: ...": (
        "A query takes ctx: Query[Db] first, not one of type Mutation"
    ),
    "async def f() -> None: ...": "a.f takes a ctx first: ctx: Query[Db]",
    "async def f(ctx: Query, a) -> None: ...": "a has no type hint",
    "async def f(ctx: Query, a: int = 'x') -> None: ...": (
        "a: its default does not fit: Expected `int`, got `str`"
    ),
    "async def f(ctx: Query, a: int): ...": (
        "a.f does not say what it returns: `-> None` if nothing"
    ),
    "async def f(ctx: Query, *a: int) -> None: ...": (
        "Arguments have names: no *args, **kwargs or /"
    ),
    "def f(ctx: Query) -> None: ...": (
        "a.f is a plain def, which takes another ctx: from trice.sync import Query"
    ),
    "async def f(ctx: sync.Query) -> None: ...": (
        "a.f is an async def, which takes another ctx: from trice.functions import Query"
    ),
    "async def f(ctx: Query) -> None: yield": (
        "a.f has a yield: a function returns its result, all of it"
    ),
    "async def f(ctx: Query, a: 'Absent') -> None: ...": (
        "name 'Absent' is not defined. What a hint names is imported outside of `if TYPE_CHECKING`"
    ),
    "async def f(ctx: Query, a: list[complex]) -> None: ...": (
        "a: complex is no type of an argument or result. Accepted: str, int, float, bool, bytes,"
        " datetime, date, time, timedelta, UUID, Decimal, Any, enums, Literal, list, dict, tuple,"
        " set, unions, Id, View, a Namespace, TypedDict, dataclass, msgspec.Struct, pydantic models"
    ),
}


@pytest.mark.rule("FN63")
@pytest.mark.parametrize("text", DECLARED)
def test_a_function_says_all_of_its_types(text: str, tmp_path: Path) -> None:
    ((file, line, message),) = told(tmp_path, {"functions/a.py": f"{PLAIN}@query\n{text}\n"})
    assert (file, line, message) == ("functions/a.py", 3, DECLARED[text])


BARE = {
    "@query\n@mutation": "f is a mutation already: one decorator of trice makes a function",
    "@internal": "@internal says no kind: write @internal.query, @internal.mutation or",
    "@http.post": 'An endpoint says its path, and who may ask it: @http.post("/orders", auth=',
    "@on_change": "@on_change takes a namespace first: @on_change(Message, create=True)",
    "@cron": "@cron takes an expression: @cron(",
    "@every": "@every takes a length of time: @every(minutes(5))",
    "@every(5)": "@every takes a length of time: @every(minutes(5))",
}


@pytest.mark.rule("FN66")
@pytest.mark.parametrize("written", BARE)
def test_a_decorator_that_lacks_something_says_what(written: str, tmp_path: Path) -> None:
    words = "from trice.functions import cron, every, http, internal, on_change\n"
    text = f"{PLAIN}{words}{written}\nasync def f(ctx: Mutation) -> None: ...\n"
    ((file, _, message),) = told(tmp_path, {"functions/a.py": text})
    assert (file, message.startswith(f"TypeError: {BARE[written]}")) == ("functions/a.py", True)


@pytest.mark.rule("FN66")
def test_a_function_that_nobody_could_call_is_told(tmp_path: Path) -> None:
    text = (
        f"{PLAIN}import functools\ndef checked(body):\n    @functools.wraps(body)\n"
        "    async def made(ctx): return await body(ctx)\n    return made\n"
        "@checked\n@query\nasync def f(ctx: Query) -> None: ...\n"
        "class Notes:\n    @query\n    async def g(self, ctx: Query) -> None: ...\n"
    )
    assert told(tmp_path, {"functions/a.py": text}) == [
        ("functions/a.py", 9, "f has a decorator above @query, which hides it: write it below"),
        ("functions/a.py", 12, "g is in a class: functions are at the top of a module"),
    ]


@pytest.mark.rule("FN63")
def test_a_decorator_makes_no_async_function_of_a_plain_one(tmp_path: Path) -> None:
    wraps = (
        "import functools\n\ndef checked(body):\n    @functools.wraps(body)\n"
        "    async def made(ctx): return body(ctx)\n    return made\n"
    )
    text = f"{PLAIN}{wraps}@query\n@checked\ndef f(ctx: sync.Query) -> None: ...\n"
    assert told(tmp_path, {"functions/a.py": text}) == [
        (
            "functions/a.py",
            10,
            "a.f is a plain def, and a decorator of it makes an async one of it: let both be the"
            " same",
        )
    ]


@pytest.mark.rule("FN61")
def test_errors_have_a_place_only_where_there_is_one() -> None:
    errors = [
        LoadError(file="functions/a.py", line=3, message="No."),
        LoadError(file="", line=None, message="It ended the process."),
    ]
    assert str(LoadErrors(errors)) == "functions/a.py:3 No.\nIt ended the process."


OPTIONS = {
    'auth="everybody"': "auth='everybody' is none of 'none', 'optional', 'user', 'admin'",
    'rate="often"': (
        'rate: "often" is no rate. Accepted is "10/minute per user": a number, one of second,'
        " minute, hour, day, and per user, ip, app or an argument"
    ),
    'rate="1/day per channel"': (
        'rate: "1/day per channel": channel is none of user, ip, app and the arguments'
    ),
    "timeout=0": "timeout is in seconds, up to 3,600, not 0",
    "timeout=3601": "timeout is in seconds, up to 3,600, not 3601",
    'also="a b"': "also: 'a b' is no other name, such as \"chat.post\"",
    'ignores="a"': "ignores: a is an argument that it has",
    "retry=3": "retry= is for actions",
    "isolated=True": "isolated= is for actions",
    "isolated=1": "isolated is True or False, not 1",
    "cached=True": "cached= is unknown",
}


@pytest.mark.rule("FN66")
@pytest.mark.parametrize("option", OPTIONS)
def test_what_a_decorator_is_told_is_checked(option: str, tmp_path: Path) -> None:
    text = f"{PLAIN}@query({option})\nasync def f(ctx: Query, a: int) -> None: ...\n"
    ((_, line, message),) = told(tmp_path, {"functions/a.py": text})
    assert line == 3
    assert message.startswith(OPTIONS[option])


@pytest.mark.rule("FN66")
def test_what_a_decorator_is_told_is_in_the_signature(tmp_path: Path) -> None:
    text = (
        f'{PLAIN}@query(auth="admin", rate="3/hour per a", timeout=2.5, also=["old.name"],'
        ' ignores=("b", "c"))\n'
        'async def f(ctx: Query, a: int) -> None:\n    """What it does."""\n'
    )
    (found,) = load_program(write_project(tmp_path, {"functions/a.py": text}), {}).signatures
    assert (found.auth, found.rate, found.timeout_ms) == ("admin", "3/hour per a", 2_500)
    assert (found.also, found.ignores, found.doc) == (("old.name",), ("b", "c"), "What it does.")
    assert (found.file, found.line, found.is_internal) == ("functions/a.py", 3, False)


@pytest.mark.rule("FN66")
def test_no_name_is_of_two_functions(tmp_path: Path) -> None:
    text = (
        f'{PLAIN}@query(also="a.g")\nasync def f(ctx: Query) -> None: ...\n'
        "@query\nasync def g(ctx: Query) -> None: ...\n"
    )
    ((_, line, message),) = told(tmp_path, {"functions/a.py": text})
    assert (line, message) == (5, "a.g is also a.f, of functions/a.py:3")


@pytest.mark.rule("FN66")
def test_a_function_that_hides_another_one_of_its_module_is_told(tmp_path: Path) -> None:
    text = (
        f"{PLAIN}@query\nasync def f(ctx: Query) -> None: ...\n"
        '@mutation(auth="user")\nasync def f(ctx: Mutation) -> None: ...\n'
    )
    assert told(tmp_path, {"functions/a.py": text}) == [
        ("functions/a.py", 5, "f is defined in line 3 already: this one hides it")
    ]


VIEWS = {
    "nick: str | None": (
        "notes has no attribute or link nick. It has id, text, at, owner, created_at",
        "Note",
    ),
    "created_at: str": ("created_at, when a row was created, is a datetime, not str", "Note"),
    "id: Id[User]": ("the id of notes is an Id[Note], not Id[User]", "Note"),
    "text: int": ("notes.text is a string, not a number", "Note"),
    "at: datetime": ("notes.at may be None: say `… | None`", "Note"),
    "owner: str | None": ("owner is a link: it takes a View of $users, or None", "Note"),
    "owner: Owner": ("notes.owner may be None: say `… | None`", "Note"),
    "owner: list[Owner]": (
        "notes.owner leads to $users: it takes a View of $users, or None",
        "Note",
    ),
    "notes: Annotated[list[Other], Sub(where={'txt': 1})]": (
        "Sub: notes has no txt. It has",
        "User",
    ),
    "notes: Annotated[list[Other], Sub(order={})]": ("Sub: order is one label", "User"),
    "notes: Annotated[list[Other], Sub(order={'text': 'asc'})]": (
        "Sub: notes cannot be ordered by text: it is not Indexed in the schema",
        "User",
    ),
    "notes: Annotated[list[Other], Sub(limit=0)]": ("Sub: limit is a whole number, 1", "User"),
    "notes: Other | None": ("$users.notes leads to notes: it takes list[a View of notes]", "User"),
    "notes: list[Owner]": ("$users.notes leads to notes: it takes list[a View of notes]", "User"),
}


@pytest.mark.rule("FN65")
@pytest.mark.parametrize("field", VIEWS)
def test_a_view_fits_the_schema(field: str, tmp_path: Path) -> None:
    message, of = VIEWS[field]
    text = (
        f"{WORDS}from datetime import datetime; from typing import Annotated\n"
        "class Owner(View[User]):\n    id: Id[User]\n"
        "class Other(View[Note]):\n    id: Id[Note]\n"
        f"class Seen(View[{of}]):\n    {field}\n"
        "@query\nasync def f(ctx: Query[Db]) -> list[Seen]: ...\n"
    )
    ((file, line, found),) = told(tmp_path, {"schema.py": SCHEMA, "functions/a.py": text})
    assert (file, line) == ("functions/a.py", 9)
    assert found.startswith(f"Seen.{field.partition(':')[0]}: {message}")


@pytest.mark.rule("FN65")
def test_a_view_has_an_end(tmp_path: Path) -> None:
    text = (
        f"from __future__ import annotations\n{WORDS}"
        "class Owner(View[User]):\n    notes: list[Seen]\n"
        "class Seen(View[Note]):\n    owner: Owner | None\n"
        "@query\nasync def f(ctx: Query[Db]) -> list[Seen]: ...\n"
    )
    found = told(tmp_path, {"schema.py": SCHEMA, "functions/a.py": text})
    assert found == [("functions/a.py", 6, "Seen: Seen holds itself: a view has an end")]


@pytest.mark.rule("FN65")
def test_a_schema_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    schema = SCHEMA.replace("    text: str\n", "    text: complex\n")
    found = told(tmp_path, {"schema.py": schema, "functions/a.py": PLAIN})
    assert [(file, line) for file, line, _ in found] == [("schema.py", 10)]
    assert "complex is no type of an attribute" in found[0][2]


def files_below(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


@pytest.mark.rule("FN63")
async def test_decorators_below_ours_are_read_through(tmp_path: Path) -> None:
    text = (
        f"{PLAIN}import functools\n"
        "def checked(f):\n"
        "    @functools.wraps(f)\n"
        "    async def inner(ctx, *args, **kwargs):\n"
        "        return 1 + await f(ctx, *args, **kwargs)\n"
        "    return inner\n"
        "@query\n@checked\nasync def f(ctx: Query, a: int) -> int:\n    return a\n"
    )
    program = load_program(write_project(tmp_path, {"functions/a.py": text}), {})
    call = Call(
        call=1,
        function="a.f",
        args=b'{"a":1}',
        caller=Caller(),
        left_ms=1,
        now_ms=1,
        seed="",
        trace="",
    )
    done = await program.run(call, None)  # type: ignore[arg-type]  # it asks for nothing
    assert getattr(done, "value", done) == b"2"
    assert program.signatures[0].line == 10


@pytest.mark.rule("FN64")
async def test_loading_again_takes_what_is_there_now(tmp_path: Path) -> None:
    """In the same second, with a text of the same length, and another project in between."""
    text = (
        f"{PLAIN}from shared import VALUE\n"
        "@query\nasync def f(ctx: Query) -> int:\n    return VALUE\n"
    )
    project = write_project(tmp_path / "a", {"functions/a.py": text, "shared.py": "VALUE = 1\n"})
    call = Call(
        call=1, function="a.f", args=b"{}", caller=Caller(), left_ms=1, now_ms=1, seed="", trace=""
    )
    first = load_program(project, {})
    (project / "shared.py").write_text("VALUE = 2\n")
    other = write_project(tmp_path / "b", {"functions/a.py": text, "shared.py": "VALUE = 3\n"})
    second, third = load_program(project, {}), load_program(other, {})
    for program, value in ((first, b"1"), (second, b"2"), (third, b"3")):
        done = await program.run(call, None)  # type: ignore[arg-type]  # it asks for nothing
        assert getattr(done, "value", done) == value
    assert not any(each.suffix == ".pyc" for each in files_below(tmp_path))
