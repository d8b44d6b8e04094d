"""Files that are code: `schema.py` in a Python of its own, TypeScript in Node."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest

from support.patience import WAIT_S
from trice import schema_limits
from trice.cli.schema_files import read_rules, read_schema

NODE_MODULES = Path(__file__).resolve().parents[3] / "node_modules"
PLAIN = """\
from trice.schema import Namespace, Schema, Table
class Todo(Namespace):
    title: str
class Db(Schema):
    todos: Table[Todo]
"""


def refused(path: Path) -> str:
    """What is said about a file that cannot be read."""
    with pytest.raises(click.UsageError) as told:
        read_schema(path)
    return told.value.message


@pytest.mark.rule("SF20")
def test_an_endless_file_is_ended_with_its_line(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "schema.py"
    path.write_text("def forever():\n    while True:\n        pass\n\nforever()\n")
    grace_ms = schema_limits.EVALUATION_MS - 1_000
    monkeypatch.setattr(schema_limits, "EVALUATION_GRACE_MS", grace_ms)
    said = re.fullmatch(rf"{path}, line ([23]): (.*)", refused(path))
    assert said and said[2] == "It did not end within 1 s, and is at this line."


@pytest.mark.rule("SF20")
@pytest.mark.parametrize("name", ("schema.py", "instant.schema.ts"))
def test_a_file_that_cannot_be_asked_is_killed(tmp_path: Path, monkeypatch: Any, name: str) -> None:
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    path = tmp_path / name
    stop = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n"
    path.write_text(stop if name.endswith("py") else "for (;;) {}\nexport default 1;\n")
    monkeypatch.setattr(schema_limits, "EVALUATION_MS", 1_500)
    assert refused(path) == f"{path}: it did not end within 1.5 s."


@pytest.mark.rule("SF20")
def test_an_answer_is_bounded_and_an_exit_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "schema.py"
    monkeypatch.setattr(schema_limits, "EVALUATED_BYTES_MAX", 2**20)
    path.write_text(PLAIN.replace("title: str", "title: str = 'x' * 2**21"))
    assert refused(path) == f"{path}: it answers more than 1 MiB."
    path.write_text("import os, sys\nos.write(int(sys.argv[-2]), b'[]')\nos._exit(0)\n")
    assert refused(path) == f"{path}: its process ended with code 0 before it could be read."
    path.write_text("import os\nos._exit(7)\n")
    assert refused(path) == f"{path}: its process ended with code 7 before it could be read."


@pytest.mark.rule("SF20")
def test_what_a_file_prints_is_shown_up_to_a_bound(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "schema.py"
    path.write_text(f"import sys\nprint('hello\\x1b[2J')\n{PLAIN}")
    assert list(read_schema(path)["entities"]) == ["todos"]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\\x1b[2J\n")
    path.write_text(f"for _ in range(1000): print('x' * 99_999)\n{PLAIN}")
    read_schema(path)
    assert 60_000 < len(capsys.readouterr().err) < 70_000


@pytest.mark.rule("SF20")
def test_what_a_file_started_ends_with_it(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "schema.py"
    start = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid)\n"
    path.write_text(start + PLAIN)
    read_schema(path)
    state = Path(f"/proc/{int(capsys.readouterr().err)}/stat")
    deadline = time.monotonic() + WAIT_S
    while state.exists() and ") Z" not in state.read_text():
        assert time.monotonic() < deadline, "it still runs"
        os.sched_yield()


SCHEMA = """\
import { i, InstantRules } from "@instantdb/react";
import type { Nothing } from "./not-there";
import { views } from "./parts/views";
type Kind = "text" | 'image';
enum Unused { A = "a" }
const schema = i.schema({
  entities: {
    posts: i.entity({
      kind: i.string<Kind>().indexed(),
      mood: i.string<"good" | "bad">().optional(),
      free: i.string<string>(),
      meta: i.json<{ a: string }>().clientRequired(),
      views,
    }),
  },
}) as any;
type AppSchema = typeof schema;
export type { AppSchema };
export default schema satisfies unknown;
"""
POSTS = {
    "kind": {
        "valueType": "string",
        "required": True,
        "config": {"indexed": True},
        "values": ["text", "image"],
    },
    "mood": {"valueType": "string", "values": ["good", "bad"]},
    "free": {"valueType": "string", "required": True},
    "meta": {"valueType": "json"},
    "views": {"valueType": "number", "required": True},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "jiti").symlink_to(NODE_MODULES / "jiti")
    (tmp_path / "parts").mkdir()
    views = 'import { i } from "@instantdb/core";\nexport const views = i.number() as any;\n'
    (tmp_path / "parts" / "views.ts").write_text(views)
    (tmp_path / "instant.schema.ts").write_text(SCHEMA)
    return tmp_path


@pytest.mark.rule("SF21", "SF22")
def test_typescript_is_run_with_its_imports(project: Path) -> None:
    assert read_schema(project / "instant.schema.ts")["entities"] == {"posts": {"attrs": POSTS}}


@pytest.mark.rule("SF21")
def test_typescript_is_read_by_what_there_is(project: Path) -> None:
    """A package that is called esbuild: it takes types out of this file, and makes a module."""
    (project / "node_modules" / "jiti").unlink()
    path = project / "instant.perms.ts"
    path.write_text('const rules = { a: { allow: { view: "true" } } } satisfies X;\n')
    with path.open("a") as more:
        more.write('import { note } from "./note.mjs";\nexport default { ...rules, note };\n')
    (project / "note.mjs").write_text('export const note = { bind: ["a", "b"] };\n')
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    major, minor = map(int, version.stdout[1:].split(".")[:2])
    if (major, minor) < (22, 13):
        with pytest.raises(
            click.UsageError, match=r"Use Node 22\.13 or newer, or run `npm install"
        ):
            read_rules(path)
        package = project / "node_modules" / "esbuild"
        package.mkdir()
        strip = "code: source.replaceAll(' satisfies X', '')"
        text = f"exports.transformSync = (source, options) => ({{ {strip}, options }});"
        (package / "index.js").write_text(text)
    assert read_rules(path) == {"a": {"allow": {"view": "true"}}, "note": {"bind": ["a", "b"]}}


TYPESCRIPT = {
    'import x from "./lost";\nexport default x;': r": There is no \./lost beside instant",
    'import x from "lost";\nexport default x;': r": It imports lost: Cannot find module 'lost'",
    "const x = 1;": ": It exports nothing: the last line is `export default schema;`",
    "type X = 'a';\nthrow new Error('no\\nmore');\nexport default 1;": r", line 2: no\.$",
    "export default { entities: { a: {} } };": ": entities.a: it has no `attrs`",
    "export default (": ": .*",
    "export default { a: 5n };": ": Do not know how to serialize a BigInt",
}


@pytest.mark.rule("SF21", "SF11")
@pytest.mark.parametrize("text", TYPESCRIPT)
def test_what_is_wrong_in_typescript_is_told(project: Path, text: str) -> None:
    path = project / "instant.schema.ts"
    path.write_text(text)
    assert re.match(re.escape(str(path)) + TYPESCRIPT[text], refused(path))


@pytest.mark.rule("SF21")
def test_without_node_it_is_told_what_lacks(project: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert shutil.which("node") is None
    assert "is run by Node, which is not installed" in refused(project / "instant.schema.ts")


@pytest.mark.rule("SF23")
def test_the_words_of_a_schema_load_nothing_else() -> None:
    code = "import sys, json, trice.schema; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    ours = [name for name in loaded if name.partition(".")[0] == "trice"]
    words = ("declare", "tables", "views")
    assert ours == ["trice", "trice.schema", *(f"trice.schema.{each}" for each in words)]
    theirs = {"msgspec", "click", "yaml", "apsw", "httpx", "starlette"}
    assert not theirs & set(loaded)
