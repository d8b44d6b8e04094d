"""trice generate, and files of schemas that import tricedb."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.patience import WAIT_S
from trice.cli.main import main
from trice.cli.schema_files import read_schema

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = """\
import { i } from 'tricedb';

const _schema = i.schema({
  entities: {
    $users: i.entity({
      email: i.string().unique().indexed().optional(),
      imageURL: i.string().optional(),
      type: i.string().optional(),
      nick: i.string().optional(),
    }),
    $files: i.entity({ path: i.string().unique().indexed(), url: i.string() }),
    $streams: i.entity({
      clientId: i.string().unique().indexed(),
      done: i.boolean().optional(),
      size: i.number().optional(),
      abortReason: i.string().optional(),
    }),
    users: i.entity({ 'odd name': i.number(), more: i.any().optional() }),
    'to-do items': i.entity({
      title: i.string().unique(),
      kind: i.string<'text' | "it's">().optional(),
      at: i.date().indexed(),
      till: i.date().optional(),
      done: i.boolean().indexed(),
      meta: i.json(),
    }),
  },
  links: {
    author: {
      forward: { on: 'to-do items', label: 'author', has: 'one', onDelete: 'cascade' },
      reverse: { on: '$users', label: 'items', has: 'many' },
    },
    next: {
      forward: { on: 'to-do items', label: 'next', has: 'one' },
      reverse: { on: 'to-do items', label: 'before', has: 'one' },
    },
    linkedPrimaryUser: {
      forward: { on: '$users', label: 'linkedPrimaryUser', has: 'one', onDelete: 'cascade' },
      reverse: { on: '$users', label: 'linkedGuestUsers', has: 'many' },
    },
  },
  rooms: {
    chat: {
      presence: i.entity({ x: i.number(), name: i.string().optional() }),
      topics: { bell: i.entity({ at: i.date() }) },
    },
    quiet: { presence: i.entity({}) },
  },
});

type _AppSchema = typeof _schema;
export interface AppSchema extends _AppSchema {}
const schema: AppSchema = _schema;
export default schema;
"""
CHECKS = """\
import { init, type RoomsOf } from 'tricedb';
import type { AppSchema } from './instant.schema.ts';
import { schema, type Schema } from './schema.gen.ts';

type Same<A, B> = [A, B] extends [B, A] ? true : false;
type Each<A, B extends Record<keyof A, unknown>> = {
  [E in keyof A]: Same<A[E], B[E]> | Same<keyof A[E], keyof B[E]>;
}[keyof A];
type All<Outcome extends true> = Outcome;

export type Checks = [
  All<Each<AppSchema['rows'], Schema['rows']>>,
  All<Each<AppSchema['writes'], Schema['writes']>>,
  All<Each<AppSchema['by'], Schema['by']>>,
  All<Each<AppSchema['unique'], Schema['unique']>>,
  All<Each<AppSchema['indexed'], Schema['indexed']>>,
  All<Each<RoomsOf<AppSchema>, RoomsOf<Schema>>>,
  All<Same<keyof AppSchema['rows'], keyof Schema['rows']>>,
];
const db = init({ appId: 'app', schema });
const item = db.tx['to-do items'].lookup('title', 'a');
export const chunk = item.update({ at: new Date(), till: null });
"""
COMPILER_OPTIONS = {
    "target": "es2022",
    "module": "nodenext",
    "moduleDetection": "force",
    "lib": ["es2023"],
    "types": [],
    "strict": True,
    "noEmit": True,
    "allowImportingTsExtensions": True,
    "paths": {"tricedb": [str(ROOT / "clients" / "js" / "src" / "index.ts")]},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    (tmp_path / "instant.schema.ts").write_text(SCHEMA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def generate(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["generate", *words], input=typed, prog_name="trice")


def compiled(project: Path) -> str:
    """What the compiler says against a project."""
    config = {"compilerOptions": COMPILER_OPTIONS, "files": ["checks.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config))
    (project / "package.json").write_text('{"type": "module"}')
    (project / "checks.ts").write_text(CHECKS)
    words = [str(ROOT / "node_modules" / ".bin" / "tsc"), "--project", str(project)]
    return subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S).stdout


@pytest.mark.rule("SF50", "SF52")
def test_what_is_generated_has_the_types_of_the_schema(project: Path) -> None:
    assert generate("schema.gen.ts").exit_code == 0
    assert compiled(project) == ""
    path = project / "schema.gen.ts"
    text = path.read_text()
    assert "title: string;" in text and "export interface ToDoItemsRow {" in text
    for right, wrong in (
        ("title: string;", "title?: string;"),
        ("till?: string | number | Date | null;", "till?: string | number | null;"),
        ('author: { to: "$users"; has: "one" };', 'author: { to: "$users"; has: "many" };'),
        ('"to-do items": "title";', '"to-do items": never;'),
        ("  more?: any;\n", ""),
    ):
        assert right in text
        path.write_text(text.replace(right, wrong))
        assert "checks.ts" in compiled(project), wrong


@pytest.mark.rule("SF50")
def test_what_is_generated_has_the_schema_as_a_value(project: Path) -> None:
    assert generate("schema.gen.ts").exit_code == 0
    again = project / "again.schema.ts"
    again.write_text("import { schema } from './schema.gen.ts';\nexport default schema;\n")
    document = read_schema(project / "instant.schema.ts")
    assert document.pop("rooms")
    for entity in document["entities"].values():
        for known in entity["attrs"].values():
            known.pop("values", None)
            if known["valueType"] == "any":
                known["valueType"] = "json"
    assert read_schema(again) == document


@pytest.mark.rule("SF51")
def test_generate_asks_before_it_overwrites(project: Path) -> None:
    target = project / "schema.gen.ts"
    assert generate("schema.gen.ts").exit_code == 0
    text = target.read_text()
    assert "Made by `trice generate` of instant.schema.ts" in text
    assert generate("schema.gen.ts").exit_code == 0
    target.write_text("mine")
    assert generate("schema.gen.ts", typed="n\n").exit_code == 1
    assert target.read_text() == "mine"
    assert generate("schema.gen.ts", "--yes").exit_code == 0
    assert target.read_text() == text


@pytest.mark.rule("SF51")
def test_generate_says_what_it_takes(project: Path) -> None:
    refused = generate("schema.gen.py")
    assert refused.exit_code == 2 and "accepted are names such as schema.gen.ts" in refused.stderr
    refused = generate("instant.schema.ts", "--yes")
    assert refused.exit_code == 2 and "is the file of the schema itself" in refused.stderr
    assert (project / "instant.schema.ts").read_text() == SCHEMA
    (project / "instant.schema.ts").unlink()
    refused = generate("schema.gen.ts")
    assert refused.exit_code == 2 and "There is none of schema.json, schema.py" in refused.stderr
    named = project / "other.json"
    named.write_text('{"entities": {"todos": {"attrs": {}}}}')
    assert generate("schema.gen.ts", "--schema", "other.json").exit_code == 0


@pytest.mark.rule("SF52")
def test_a_project_with_tricedb_keeps_to_it(project: Path) -> None:
    document = read_schema(project / "instant.schema.ts")
    assert document["entities"]["to-do items"]["attrs"]["kind"]["values"] == ["text", "it's"]
    (project / "package.json").write_text('{"dependencies": {"tricedb": "1.0.0"}}')
    words = ["schema", "convert", "instant.schema.ts", "new.schema.ts"]
    told = CliRunner().invoke(main, words, prog_name="trice")
    assert told.exit_code == 0, told.output
    assert 'import { i } from "tricedb";' in (project / "new.schema.ts").read_text()
    assert read_schema(project / "new.schema.ts") == document
