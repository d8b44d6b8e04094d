"""What is wrong in files of schemas and rules, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from trice.cli.schema_files import read_rules, read_schema
from trice.schema.document import SchemaFault, canonical

HEAD = "from trice.schema import *\nfrom datetime import *\nfrom typing import *\n"


def told(path: Path, text: str) -> str:
    """What is said about a file; it must be refused."""
    path.write_text(text)
    read = read_rules if "rules" in path.name or "perms" in path.name else read_schema
    with pytest.raises(click.UsageError) as refused:
        read(path)
    return refused.value.message


# What stands in a class `T(Namespace)` from line 5 on, and what is said about its last line.
FIELDS = {
    "a: bytes": "T.a: bytes is no type of an attribute. Accepted: str, float, int, bool, datetime",
    "a: str | int": "T.a: str | int is no type here. Accepted: str,",
    "a: Annotated[str, 5]": "T.a: 5 is unknown. Accepted in Annotated: Unique, Indexed, Label(",
    "a: Literal['x', 2]": "T.a: The values of an enum or Literal are all texts, or all numbers",
    "a: Literal[True]": "T.a: The values of an enum or Literal are all texts, or all numbers",
    "a: str = 5": "T.a: the default 5 is no string",
    "a: bool = 1": "T.a: the default 1 is no boolean",
    "a: str = None": "T.a: the default None is no string",
    "a: str = now": "T.a: now is a default of date, not of string",
    "a: Literal['x'] = 'y'": "T.a: the default 'y' is not one of the values: 'x'",
    "a: 'Nobody'": "T.a: name 'Nobody' is not defined",
    "a: int\n    b: One['T']": "T.b: A link says what it is called from the other side",
    "b: One['T'] = 5": "T.b: A link says what it is called from the other side",
    "b: 'T'": "T.b: T is a namespace; a link to it is One[T] or Many[T]",
    "b: str = link(back='ts')": "T.b: link(…) is for One[…] and Many[…]",
    "b: One['Lost'] = link(back='ts')": "T.b: Lost is in no Table of Db",
    "b: Many['T'] | None = link(back='ts')": "T.b: A Many may be empty: it says no `| None`",
    "b: One['T'] = link(back='ts', required=True)": "T.b: A One is required unless it says",
    "b: Annotated[One['T'], Unique] = link(back='x')": "T.b: Accepted in Annotated of a link:",
    "b: Many['T'] = link(back='x', on_delete='cascade')": "T.b: cascade is for a side that has",
    "x: str\n    b: Many['T'] = link(back='x')": "T.b: ts.x stands twice in the schema",
    "b: One['T'] = link(back='b')": "T.b: ts.b stands twice in the schema",
    "b: One['T'] = link(back='id')": "T.b: a link cannot be called id",
    "b: One['T'] = link(back='')": "T.b: a name is a text that is not empty, not ''",
    "x: str\n    y: Annotated[str, Label('x')]": "T.y: ts.x stands twice in the schema",
}


@pytest.mark.rule("SF10", "SF12")
@pytest.mark.parametrize("field", FIELDS)
def test_what_is_wrong_in_a_class_is_told_with_its_line(tmp_path: Path, field: str) -> None:
    text = f"{HEAD}class T(Namespace):\n    {field}\n"
    text += "class Lost(Namespace): a: str\nclass Db(Schema): ts: Table[T]\n"
    path = tmp_path / "schema.py"
    line = 5 + field.count("\n")
    assert told(path, text).startswith(f"{path}, line {line}: {FIELDS[field]}")


FILES = {
    "class Db(Schema:\n": (4, "invalid syntax"),
    "class Db(Schema):\n    a: Table[Nobody]\n": (
        5,
        "NameError: name 'Nobody' is not defined. A class that stands further down is named in",
    ),
    "x = link(bac='y')\nclass Db(Schema): ...\n": (
        4,
        "TypeError: link() got an unexpected keyword argument 'bac'. Accepted is link(*, back:",
    ),
    "x = 1\nraise SystemExit(3)\n": (5, "SystemExit: 3"),
    "x = 1\n": (None, "A file has one class below Schema, such as `class Db(Schema)`; it has no"),
    "class A(Schema): ...\nclass B(Schema): ...\n": (None, "A file has one class below Schema"),
    "class T(Namespace): a: str\nclass Db(Schema): ts: T\n": (5, "Db.ts: Accepted here is NAME:"),
    "class T(Namespace): a: str\nclass Db(Schema):\n  a: Table[T]\n  b: Table[T]\n": (
        7,
        "Db.b: T is a already: a namespace has its own class",
    ),
    "class U(Users): a: str\nclass Db(Schema): us: Table[U]\n": (
        4,
        "U.a: attributes of $users must be optional: sign-up and upload cannot fill it",
    ),
    "class Db(Schema):\n  ts: Annotated[Table[Files], Label('x')]\n  fs: Table[Files]\n": (
        6,
        "Db.fs: $files stands twice in the schema",
    ),
    "class Db(Schema):\n  rooms = {'a': 5}\n": (5, "Db.rooms: Accepted is rooms = {"),
}


@pytest.mark.rule("SF10", "SF12")
@pytest.mark.parametrize("text", FILES)
def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "schema.py"
    line, message = FILES[text]
    where = f"{path}, line {line}" if line else f"{path}"
    assert told(path, HEAD + text).startswith(f"{where}: {message}")


@pytest.mark.rule("SF10")
def test_a_fault_in_another_file_is_told_with_that_file(tmp_path: Path) -> None:
    other = tmp_path / "people.py"
    other.write_text(f"{HEAD}\nclass Person(Namespace):\n    name: str\n    photo: bytes\n")
    text = f"{HEAD}from people import Person\nclass Db(Schema): people: Table[Person]\n"
    said = told(tmp_path / "schema.py", text)
    assert said.startswith(f"{other}, line 7: Person.photo: bytes is no type")
    other.write_text(other.read_text().replace("bytes", "str"))
    assert "people" in read_schema(tmp_path / "schema.py")["entities"]


def _with(attr: Any, **more: Any) -> dict[str, Any]:
    return {"entities": {"todos": {"attrs": {"a": attr}}}, **more}


def _link(**forward: Any) -> dict[str, Any]:
    side = {"on": "todos", "label": "b", "has": "one"}
    return {"x": {"forward": {**side, **forward}, "reverse": {**side, "label": "c"}}}


DOCUMENTS: tuple[tuple[Any, str, str], ...] = (
    ([], "", "it must be an object, not []"),
    ({"links": {}}, "", 'it has no `entities`. Accepted is {"entities": {…}, "links": {…}}'),
    ({"entities": {}, "rules": {}}, "rules", "it has no 'rules'. Accepted are entities, links"),
    ({"entities": {"$orgs": {"attrs": {}}}}, "entities.$orgs", "names with $ are of the system"),
    ({"entities": {"todos": {}}}, "entities.todos", "it has no `attrs`"),
    (_with("string"), "entities.todos.attrs.a", "it must be an object, not 'string'"),
    (
        _with({"valueType": "text"}),
        "entities.todos.attrs.a.valueType",
        "it is 'text'. Accepted: string, number, boolean, date, json, any",
    ),
    (
        _with({"valueType": "string", "unique": True}),
        "entities.todos.attrs.a.unique",
        "it has no 'unique'. Accepted are config, default, format, required, valueType, values,",
    ),
    (_with({"required": 1}), "entities.todos.attrs.a.required", "it must be true or false, not 1"),
    (_with({"values": ["x"]}), "entities.todos.attrs.a.values", "values are for string and number"),
    (
        _with({"valueType": "string", "format": "day"}),
        "entities.todos.attrs.a.format",
        '"day" is a format of date, not of string',
    ),
    (
        _with({}, links=_link(on="todo")),
        "links.x.forward.on",
        "there is no namespace 'todo'. There",
    ),
    (_with({}, links=_link(has="two")), "links.x.forward.has", "it is 'two'. Accepted: one, many"),
    (_with({}, links=_link(label="a")), "links.x.forward.label", "todos.a stands twice"),
    (
        _with({}, links=_link(on="$users", required=True)),
        "links.x.forward.required",
        "links of $users cannot be required",
    ),
)


@pytest.mark.rule("SF11", "SF12")
@pytest.mark.parametrize("document,path,message", DOCUMENTS)
def test_what_is_wrong_in_a_document_is_told_with_its_keys(
    document: Any, path: str, message: str
) -> None:
    with pytest.raises(SchemaFault) as fault:
        canonical(document)
    assert ".".join(fault.value.path) == path
    assert fault.value.message.startswith(message)


@pytest.mark.rule("SF11")
def test_a_fault_in_json_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    text = json.dumps(_with({"valueType": "text"}), indent=2)
    said = told(path, text)
    assert said.startswith(f"{path}, line 6: entities.todos.attrs.a.valueType: it is 'text'.")
    assert told(path, "{").startswith(f"{path} is not valid JSON: ")


YAML = {
    "a: {allow: {view: 'true'}}\na: {}": ", line 2, column 1: the key 'a' stands twice.",
    "a:\n  allow:\n    1: 'true'": ", line 2: a.allow: the key 1 is no text; write it in quotes.",
    "a:\n  allow: !!binary aGk=": ", line 2: a.allow: b'hi' is no JSON.",
    "a:\n  bind: [x, .inf]": ", line 2: a.bind.1: inf is no JSON.",
    "a: [": ", line 2, column 1: ",
    "a: !!python/object/apply:os.getpid []": ", line 1, column 4: could not determine a construct",
    "a: &a [*a]": "more than 100,000 values, with those of aliases.",
    "- a": " has no rules: it must be an object.",
    "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else ['x'])}]" for n in range(9)): (
        "more than 100,000 values, with those of aliases."
    ),
    "[" * 100_000: ", line 1, column 101: it is nested more than 100 levels deep.",
}


@pytest.mark.rule("SF30", "SF11")
@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_yaml_that_is_no_rules_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.yaml"
    assert YAML[text] in told(path, text).replace(" cannot be read: line", ", line")


@pytest.mark.rule("SF30")
def test_words_of_yaml_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("on: {allow: {view: yes, create: 2024-01-01, update: true}}\nno: {bind: [=]}")
    view = {"view": "yes", "create": "2024-01-01", "update": "true"}
    assert read_rules(path) == {"on": {"allow": view}, "no": {"bind": ["="]}}
    path.write_text(f"# {'x' * 2**20}\na: {{}}")
    with pytest.raises(click.UsageError, match="Accepted are 1 MiB"):
        read_rules(path)
