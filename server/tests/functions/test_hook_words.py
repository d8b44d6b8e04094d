"""`@on_change`: what is accepted, and what a change tells a function."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.function_stage import PROJECTS, write_project
from trice.functions.changes import Change, ChangeReader, SentChange
from trice.functions.channel import RefusedError
from trice.functions.loading import LoadErrors, load_program
from trice.functions.program import Program

SCHEMA = (PROJECTS / "follows" / "schema.py").read_text()
HEAD = (
    "from schema import Db, Message, Seen\n"
    "from trice.functions import Action, Change, Mutation, Query, on_change\n"
    "@on_change({})\n"
    "async def f({}) -> {}: ...\n"
)
CTX = "ctx: Mutation[Db], change: Change[Message]"


@pytest.mark.rule("FN561")
@pytest.mark.parametrize(
    ("words", "given", "returns", "told"),
    [
        ("Message", CTX, "None", "it follows nothing: say create=True"),
        ("Message, update=[]", CTX, "None", "it follows nothing"),
        ("Message, create=1", CTX, "None", "create= is True or False, not 1"),
        ('Message, update="text"', CTX, "None", "update= is True, or a list of names"),
        ('Message, update=["txt"]', CTX, "None", "messages has no attribute 'txt'. It has text"),
        ('Message, update=["tags"]', CTX, "None", "messages.tags leads to several rows"),
        ("Message, create=True", "ctx: Mutation[Db]", "None", "takes a ctx and change: Change"),
        ("Message, create=True", f"{CTX}, n: int = 1", "None", "and nothing else"),
        ("Seen, create=True", CTX, "None", "change is a Change[Seen], not a Change[Message]"),
        ("Message, create=True", CTX.replace("[Message]", ""), "None", "not a Change"),
        ("Message, create=True", CTX, "str", "returns nothing"),
        ("Message, create=True", CTX.replace("Mutation", "Query"), "None", "takes ctx: Mutation"),
        ("Message, create=True, timeout=-1", CTX, "None", "timeout is in seconds"),
        ("Db, create=True", CTX.replace("Message", "Db"), "None", "is in no Table"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_loaded(
    tmp_path: Path, words: str, given: str, returns: str, told: str
) -> None:
    files = {"schema.py": SCHEMA, "functions/a.py": HEAD.format(words, given, returns)}
    with pytest.raises(LoadErrors) as raised:
        load_program(write_project(tmp_path, files), {})
    (error,) = raised.value.errors
    assert told in error.message
    assert (error.file, error.line) == ("functions/a.py", 4)


@pytest.mark.rule("FN561")
def test_a_project_has_so_many_hooks(tmp_path: Path) -> None:
    one = "@on_change(Message, create=True)\nasync def f{}(" + CTX + ") -> None: ...\n"
    head = HEAD.partition("@")[0]
    files = {"schema.py": SCHEMA, "functions/a.py": head + "".join(map(one.format, range(33)))}
    with pytest.raises(LoadErrors, match="32 functions at most that follow changes"):
        load_program(write_project(tmp_path, files), {})


@pytest.mark.rule("FN561")
def test_a_hook_stands_alone_and_is_run_by_changes_only() -> None:
    program = load_program(PROJECTS / "follows", {})
    known = {each.name: each for each in program.signatures}
    told = known["hooks.told"]
    assert (told.kind, told.is_internal, told.hook is not None) == ("action", True, True)
    assert told.hook is not None and told.hook.text() == "create, update of text, delete"
    assert known["hooks.send"].hook is None
    follow = __import__("functions.hooks", fromlist=["told"]).told
    with pytest.raises(TypeError, match="is run by changes"):
        program.encode_args(follow, (None,), {})
    with pytest.raises(TypeError, match="stands alone"):
        __import__("trice.functions", fromlist=["x"]).on_change(object, create=True)(follow)


@pytest.fixture(scope="module")
def program() -> Program:
    return load_program(PROJECTS / "follows", {})


def read(program: Program, **fields: Any) -> Change[Any]:
    """A change of a message."""
    module = __import__("schema")
    reader = ChangeReader(program.hints.shapes.of(module.Message))
    sent = {"id": "m", "before": None, "after": None, "changed": [], "tx": 7, "time_ms": 1_500}
    return reader.read(SentChange(**{**sent, **fields}))


@pytest.mark.rule("FN553")
def test_a_created_or_deleted_row_is_whole(program: Program) -> None:
    row = {"text": "a", "sentAt": "2026-01-02T03:04:05.000Z", "author": {"id": "x"}, "other": 1}
    change = read(program, kind="created", after=row)
    assert (change.id, change.kind, change.before, change.tx) == ("m", "created", None, 7)
    assert change.time == datetime.fromtimestamp(1.5, UTC)
    assert change.after.sent_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (change.after.id, change.after.likes, change.after.author.id) == ("m", None, "x")
    with pytest.raises(RefusedError, match=r"messages\.tags was not asked for"):
        str(change.after.tags)
    gone = read(program, kind="deleted", before={"text": "a"})
    assert gone.after is None and gone.before.text == "a" and gone.before.author is None


@pytest.mark.rule("FN553")
def test_of_an_updated_row_only_what_changed_is_there(program: Program) -> None:
    change = read(
        program,
        kind="updated",
        before={"sentAt": None, "author": None},
        after={"sentAt": "2026-01-02T03:04:05.000Z", "author": {"id": "x"}},
        changed=["author", "gone", "sentAt"],
    )
    assert change.changed == {"author", "sent_at"}
    assert change.before.sent_at is None and change.after.sent_at.year == 2026
    assert change.before.author is None and change.after.author.id == "x"
    with pytest.raises(RefusedError, match="text did not change") as raised:
        str(change.after.text)
    assert raised.value.code == "not-loaded"
    assert repr(change.after).startswith("Message(id='m', sent_at=")
    assert "text" not in repr(change.after)


@pytest.mark.rule("FN553")
def test_a_row_that_does_not_fit_its_class_is_told(program: Program) -> None:
    with pytest.raises(RefusedError, match=r"Expected `str \| null`, got `int`") as raised:
        read(program, kind="updated", before={"text": 1}, after={"text": 2}, changed=["text"])
    assert raised.value.code == "bad-args"
