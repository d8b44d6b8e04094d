"""docs/schema-files.md: its table of types, and its examples."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trice.cli.schema_files import read_rules, read_schema
from trice.schema.document import canonical
from trice.schema.python import write_python
from trice.schema.reading import read_schema as read_classes

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "schema-files.md").read_text(encoding="utf-8")
HEAD = "from trice.schema import *\nfrom datetime import *\nfrom typing import *\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def rows(first: str) -> list[list[str]]:
    """The lines of the table whose first column has this head, as cells without marks."""
    table = PAGE[PAGE.index(f"| {first} |") :].partition("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()[2:]]
    return [[each.strip().strip("`").replace("\\|", "|") for each in line] for line in cells]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def declared(text: str) -> dict[str, Any]:
    module = ModuleType("page_schema")
    sys.modules["page_schema"] = module
    try:
        exec(compile(text, "schema.py", "exec", dont_inherit=True), vars(module))
        return read_classes(module.Db)
    finally:
        del sys.modules["page_schema"]


@pytest.mark.rule("SF2")
def test_each_line_of_the_table_says_the_same_thrice(project: Path) -> None:
    lines = rows("Python | TypeScript | JSON")
    assert len(lines) == 20
    for hint, _, text in lines:
        found = declared(
            f"{HEAD}class T(Namespace):\n    a: {hint}\nclass Db(Schema):\n    ts: Table[T]\n"
        )
        assert found["entities"]["ts"]["attrs"]["a"] == json.loads(text), hint
    path = project / "instant.schema.ts"
    attrs = ", ".join(f"a{at}: {cell}" for at, (_, cell, _) in enumerate(lines) if cell)
    path.write_text(
        "import { i } from '@instantdb/core';\n"
        f"export default i.schema({{ entities: {{ ts: i.entity({{ {attrs} }}) }} }});\n"
    )
    read = read_schema(path)["entities"]["ts"]["attrs"]
    assert len(read) == 13
    for name, attr in read.items():
        assert attr == json.loads(lines[int(name[1:])][2]), name


@pytest.mark.rule("SF2")
def test_each_line_of_the_links_says_the_same_twice() -> None:
    lines = rows("Python | `forward` | `reverse`")
    assert len(lines) == 9
    for hint, forward, reverse in lines:
        text = f"{HEAD}class T(Namespace): x: str\nclass S(Namespace):\n    a: {hint}\n"
        found = declared(f"{text}class Db(Schema):\n    ts: Table[T]\n    ss: Table[S]\n")
        assert found["links"]["ssA"] == {
            "forward": {"on": "ss", "label": "a", **json.loads(forward)},
            "reverse": {"on": "ts", "label": "b", **json.loads(reverse)},
        }


@pytest.mark.rule("SF47", "SF1")
def test_the_examples_are_one_schema_and_one_document_of_rules(project: Path) -> None:
    python, rooms = blocks("python")
    _, schema_ts, perms_ts = blocks("ts")
    wanted = canonical(json.loads(blocks("json")[0]))
    (project / "instant.schema.ts").write_text(schema_ts)
    assert read_schema(project / "instant.schema.ts") == wanted == declared(python)
    assert write_python(wanted).partition('"""\n\n')[2] == python
    assert declared(rooms)["rooms"]["canvas"]["topics"]["emoji"]["attrs"]
    (project / "instant.perms.ts").write_text(perms_ts)
    (project / "rules.yaml").write_text(blocks("yaml")[0])
    assert read_rules(project / "rules.yaml") == read_rules(project / "instant.perms.ts")
