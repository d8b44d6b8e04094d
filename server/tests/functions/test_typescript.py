"""client/api.ts: what it has of functions, and what the compiler says of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.patience import WAIT_S
from trice.cli.main import main
from trice.functions.loading import load_program
from trice.functions.python_api import write_python_api
from trice.functions.signature import Kind, Signature
from trice.functions.typescript import write_api
from trice.schema.document import canonical

ROOT = Path(__file__).resolve().parents[3]
CHAT = Path(__file__).parent / "projects" / "chat"
COMPILER_OPTIONS = {
    "target": "es2022",
    "module": "nodenext",
    "moduleDetection": "force",
    "lib": ["es2023"],
    "types": [],
    "strict": True,
    "noEmit": True,
    "skipLibCheck": True,
    "allowImportingTsExtensions": True,
    "paths": {"tricedb": [str(ROOT / "clients" / "js" / "src" / "index.ts")]},
}
APP = """\
import { init, type CallState, type QueryRef } from 'tricedb';
import { api, schema, type MessageView } from './client/api.ts';

const db = init({ appId: 'app', schema });
declare const id: string;
const sent: Promise<string> = db.call(
  api.messages.send,
  { channel: id, text: 'hi' },
  {
    optimistic: (tx, { channel, text }, live) => [
      tx.messages[id].update({ text, kind: 'text', sent_at: new Date() }).link({ channel }),
      live(api.messages.recent, { channel }).put({ id, text }, { at: 'start' }),
    ],
  },
);
db.subscribeCall(api.messages.recent, { channel: id, limit: 5 }, ({ data, error }) => {
  const texts: string[] | undefined = data?.map((row) => row.text + row.author?.nickname);
  const kinds: ('text' | 'image')[] | undefined = data?.map((row) => row.kind);
  if (error) throw error;
  return [texts, kinds];
});
const rows: Promise<MessageView[]> = db.call(api.messages.recent, { channel: id });
const page: Promise<string | null> = db
  .call(api.messages.history, { channel: id, page: { size: 5 } })
  .then(({ items, next }) => items[0]?.sent_at ?? next);
db.subscribePagedCall(api.messages.history, { channel: id, page: { size: 5 } }, (list) => {
  const when: string[] | undefined = list.data?.map((row) => row.sent_at);
  if (list.canLoadNextPage) list.loadNextPage();
  return when;
});
db.subscribePagedCall(api.messages.history, { channel: id }, () => {});
const all = db.call(api.channels.all_of_them, {});
const capitals: Promise<string> = db.call(api.channels.tidy, { channel: id });
export { sent, rows, page, all, capitals };
"""
REFUSED = (
    ("{ channel: id, text: 'hi' }", "{ channel: id }"),
    ("{ channel: id, text: 'hi' }", "{ channel: id, text: 'hi', more: 1 }"),
    ("{ channel: id, limit: 5 }", "{ channel: id, limit: '5' }"),
    ("sent: Promise<string>", "sent: Promise<number>"),
    ("(row) => row.text", "(row) => row.txt"),
    ("'image')[]", "'imag')[]"),
    ("tx.messages[id].update({ text,", "tx.messages[id].update({ txt: text,"),
    ("subscribeCall(api.messages.recent", "subscribeCall(api.messages.send"),
    ("api.channels.all_of_them, {}", "api.channels.all_of_them, { x: 1 }"),
    ("items[0]?.sent_at", "items[0]?.sent_at.getTime()"),
    ("api.channels.tidy,", "api.channels.rename,"),
    ("subscribePagedCall(api.messages.history", "subscribePagedCall(api.messages.recent"),
    ("page: { size: 5 } }, (list)", "page: { after: id } }, (list)"),
    ("row.sent_at)", "row.sent)"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the chat, with what a compiler needs."""
    folder = tmp_path / "chat"
    shutil.copytree(CHAT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.rule("FN742")
def test_times_of_creation_have_types(project: Path) -> None:
    path = project / "functions" / "messages.py"
    path.write_text(
        path.read_text()
        + "\n\nclass BornView(View[Message]):\n    created_at: datetime\n\n\n"
        + "@query\nasync def born(ctx: Query[Db]) -> list[BornView]:\n"
        + "    return await ctx.db.messages.find(BornView)\n"
    )
    signatures = load_program(project, {}).signatures
    assert re.search(r"BornView \{[^}]*created_at: string", write_api(signatures, None))
    python = write_python_api(signatures, None)
    assert "class BornView(TypedDict):\n    created_at: str\n" in python


def generate(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["generate", *words], input=typed, prog_name="trice")


def compiled(project: Path, app: str, *words: str) -> str:
    """What the compiler says of a program in the folder of a project."""
    config = {"compilerOptions": COMPILER_OPTIONS, "files": ["app.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config))
    (project / "app.ts").write_text(app)
    compiler = str(ROOT / "node_modules" / ".bin" / "tsc")
    run = [compiler, "--project", str(project), *words]
    return subprocess.run(run, capture_output=True, text=True, timeout=WAIT_S).stdout


def signature(name: str, kind: Kind = "query", **fields: Any) -> Signature:
    """A function that takes and returns what `types` says, by default nothing."""
    types = {"args": [], "result": {"is": "null"}, "names": {}, **fields.pop("types", {})}
    return Signature(name=name, kind=kind, args={}, result={}, types=types, **fields)


def field(name: str, described: dict[str, Any], *, optional: bool = False) -> dict[str, Any]:
    return {"name": name, "type": described, "optional": optional}


@pytest.mark.rule("FN320", "FN323")
def test_apps_call_functions_with_their_types(project: Path) -> None:
    assert generate().exit_code == 0
    assert compiled(project, APP) == ""
    # One run for all: each wrong program is a file of its own.
    for number, (right, wrong) in enumerate(REFUSED):
        assert right in APP
        (project / f"wrong{number}.ts").write_text(APP.replace(right, wrong))
    config = {"compilerOptions": COMPILER_OPTIONS, "include": ["wrong*.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config))
    run = [str(ROOT / "node_modules" / ".bin" / "tsc"), "--project", str(project)]
    said = subprocess.run(run, capture_output=True, text=True, timeout=WAIT_S).stdout
    missed = [wrong for at, (_, wrong) in enumerate(REFUSED) if f"wrong{at}.ts(" not in said]
    assert missed == [], said


@pytest.mark.rule("FN320")
def test_internal_functions_are_not_in_it() -> None:
    secret = {"is": "object", "name": "Secret", "fields": [field("key", {"is": "string"})]}
    shown = {"is": "object", "name": "Shown", "fields": []}
    named = {"names": {"a.Secret": secret, "a.Shown": shown}}
    text = write_api(
        [
            signature(
                "a.hidden",
                is_internal=True,
                doc="Nobody reads this.",
                types={**named, "result": {"is": "named", "key": "a.Secret"}},
            ),
            signature("a.open", types={**named, "result": {"is": "named", "key": "a.Shown"}}),
        ],
        None,
    )
    assert "open" in text and "Shown" in text
    assert not re.search(r"hidden|Secret|Nobody", text)
    assert "tricedb" not in text, "without a schema it needs no package"
    program = load_program(CHAT)
    assert any(each.is_internal for each in program.signatures)
    assert "rename" not in write_api(program.signatures, program.schema)


@pytest.mark.rule("FN320")
def test_types_are_written_out() -> None:
    program = load_program(CHAT)
    text = write_api(program.signatures, program.schema)
    assert not re.search(r"\binfer\b|\bkeyof\b|\btypeof\b|\bin \w+\]|<", text)
    assert [line for line in text.splitlines() if " extends " in line] == [
        "export interface Schema extends SchemaShape {"
    ]


@pytest.mark.rule("FN321")
def test_each_type_is_written_as_clients_have_it() -> None:
    def listed(described: dict[str, Any]) -> dict[str, Any]:
        return {"is": "list", "of": described}

    null: dict[str, Any] = {"is": "null"}
    union = {"is": "union", "of": [{"is": "string"}, {"is": "datetime"}, null]}
    literal = {"is": "literal", "values": ["a b", 1, True]}
    tree = {
        "is": "object",
        "name": "Tree",
        "doc": "A */ tree.",
        "fields": [field("below", listed({"is": "named", "key": "m.Tree"}), optional=True)],
    }
    fields: dict[str, dict[str, Any]] = {
        **{each: {"is": each} for each in ("string", "integer", "boolean", "any", "decimal")},
        **{each: {"is": each} for each in ("date", "duration", "bytes", "uuid", "paged")},
        "id": {"is": "id", "of": "todos"},
        "some": union,
        "many": listed(union),
        "one": literal,
        "ones": listed(literal),
        "pair": {"is": "tuple", "items": [{"is": "number"}, union]},
        "odd name": {"is": "map", "of": {"is": "number"}},
        "page": {"is": "page", "of": {"is": "named", "key": "m.Tree"}},
        "inner": {"is": "object", "fields": [field("x", null)]},
        "kind": {"is": "named", "key": "m.Kind"},
    }
    names = {"m.Tree": tree, "m.Kind": {"is": "enum", "name": "Kind", "values": ["a", 2]}}
    args = [field(name, each) for name, each in fields.items()]
    args.append({**field("last", {"is": "number"}, optional=True), "doc": "How many."})
    text = write_api([signature("m.f", types={"args": args, "names": names})], None)
    assert text.partition("export interface MFArgs ")[2].partition("\n\n")[0].splitlines() == [
        "{",
        *("  string: string;", "  integer: number;", "  boolean: boolean;", "  any: any;"),
        *("  decimal: string;", "  date: string;", "  duration: string;", "  bytes: string;"),
        *("  uuid: string;", "  paged: { size?: number; after?: string | null };", "  id: string;"),
        *("  some: string | null;", "  many: (string | null)[];"),
        *('  one: "a b" | 1 | true;', '  ones: ("a b" | 1 | true)[];'),
        *("  pair: [number, string | null];", '  "odd name": { [key: string]: number };'),
        "  page: { items: Tree[]; next: string | null };",
        *("  inner: {", "    x: null;", "  };", "  kind: Kind;"),
        *("  /** How many. */", "  last?: number;", "}"),
    ]
    assert "/** A *\\/ tree. */\nexport interface Tree {\n  below?: Tree[];\n}" in text
    assert 'export type Kind = "a" | 2;' in text


@pytest.mark.rule("FN321")
def test_names_are_those_of_the_project_each_once() -> None:
    view = {"is": "object", "name": "View", "fields": []}
    schema = canonical({"entities": {"todos": {"attrs": {}}}, "links": {}})

    def returns(key: str) -> dict[str, Any]:
        return {"result": {"is": "named", "key": key}, "names": {key: view}}

    text = write_api(
        [
            signature("billing.invoices.pay_all", "mutation", types=returns("billing.View")),
            signature("a.payAll", types=returns("a.View"), doc="One.\n\n  Two."),
            signature("a.pay_all", types=returns("todos.Row"), also=("old.name",)),
            signature("todos.row"),
        ],
        schema,
    )
    names = re.findall(r"^export (?:interface|type|const) (\w+)", text, re.MULTILINE)
    assert len(set(names)) == len(names)
    for known in (
        "APayAll",
        "APayAll2",
        "AView",
        "BillingView",
        "TodosRow",
        "TodosRow2",
        "TodosRow3",
    ):
        assert known in names, known
    assert "readonly invoices: BillingInvoicesApi;" in text
    assert "  readonly pay_all: BillingInvoicesPayAll;" in text
    assert 'pay_all: { name: "billing.invoices.pay_all", kind: "mutation" }' in text
    assert "/**\n * One.\n *\n * Two.\n */\nexport interface APayAll {" in text
    assert "old" not in text


@pytest.mark.rule("FN322")
def test_generate_writes_it_and_says_when_it_is_old(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = project / "client" / "api.ts"
    missing = generate("--check")
    assert missing.exit_code == 1 and "is missing: run `trice generate`" in missing.stderr
    assert not target.exists()
    assert generate().exit_code == 0
    text = target.read_text()
    assert generate("--check").exit_code == 0
    messages = project / "functions" / "messages.py"
    source = messages.read_text()
    messages.write_text(source.replace("text: str) -> None", "text: str, loud: bool) -> None"))
    old = generate("--check")
    assert old.exit_code == 1 and "is old" in old.stderr
    assert target.read_text() == text
    assert generate().exit_code == 0
    assert "loud: boolean;" in target.read_text()
    messages.write_text(source)
    (project / "trice.toml").write_text("")
    monkeypatch.chdir(project / "functions")
    assert generate().exit_code == 0
    assert target.read_text() == text


@pytest.mark.rule("FN322")
def test_generate_asks_before_it_overwrites_what_it_did_not_write(project: Path) -> None:
    target = project / "client" / "api.ts"
    target.parent.mkdir()
    target.write_text("export const mine = 1;\n")
    assert generate(typed="n\n").exit_code == 1
    assert target.read_text() == "export const mine = 1;\n"
    assert generate("--yes").exit_code == 0


@pytest.mark.rule("FN322")
def test_generate_tells_what_cannot_be_loaded(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = project / "functions" / "messages.py"
    messages.write_text(messages.read_text().replace("text: str) -> None", "text) -> None"))
    refused = generate()
    assert refused.exit_code == 1 and re.search(r"functions/messages\.py:\d+: ", refused.stderr)
    assert not (project / "client").exists()
    monkeypatch.chdir(project.parent)
    refused = generate()
    assert refused.exit_code == 2 and "Here is no project" in refused.stderr


def large_project() -> Iterator[Signature]:
    """200 functions in 20 modules, each with a view of three levels of its own."""
    for number in range(200):
        inner = {"is": "object", "name": f"Inner{number}", "fields": list(plain_fields(12))}
        outer = {
            "is": "object",
            "name": f"Outer{number}",
            "fields": [
                *plain_fields(12),
                field("inner", {"is": "list", "of": {"is": "named", "key": f"m.Inner{number}"}}),
            ],
        }
        yield signature(
            f"module{number % 20}.function{number}",
            ("query", "mutation", "action")[number % 3],
            types={
                "args": list(plain_fields(5)),
                "result": {"is": "list", "of": {"is": "named", "key": f"m.Outer{number}"}},
                "names": {f"m.Inner{number}": inner, f"m.Outer{number}": outer},
            },
        )


def plain_fields(count: int) -> Iterator[dict[str, Any]]:
    kinds = ("string", "number", "boolean", "datetime", "id")
    for number in range(count):
        described = {"is": kinds[number % len(kinds)], "of": "ns1"}
        yield field(f"field{number}", described, optional=number == 3)


def large_schema() -> dict[str, Any]:
    """60 namespaces of 12 attributes, with 300 links."""
    attrs = {f"field{at}": {"valueType": "string", "required": True} for at in range(12)}
    links = {
        f"link{at}": {
            "forward": {"on": f"ns{at % 60}", "label": f"to{at}", "has": "one"},
            "reverse": {"on": f"ns{(at * 7 + 1) % 60}", "label": f"of{at}", "has": "many"},
        }
        for at in range(300)
    }
    return canonical(
        {"entities": {f"ns{at}": {"attrs": attrs} for at in range(60)}, "links": links}
    )


def large_app() -> str:
    lines = [
        "import { init } from 'tricedb/react';",
        "import { api, schema } from './client/api.ts';",
        "const db = init({ appId: 'app', schema });",
    ]
    for number, each in enumerate(sorted(large_project(), key=lambda one: one.name)):
        args = "{ field0: 'a', field1: 1, field2: true, field4: 'b' }"
        if each.kind == "query":
            lines.append(
                f"export function F{number}() {{\n"
                f"  const {{ data }} = db.useCall(api.{each.name}, {args});\n"
                "  return data?.[0]?.inner[0]?.field0.length;\n}"
            )
        else:
            written = f"tx.ns{number % 60}.x.update({{ field0: args.field0 }})"
            shown = f", {{ optimistic: (tx, args) => [{written}] }}"
            options = shown if each.kind == "mutation" else ""
            lines.append(
                f"export const f{number} = db.call(api.{each.name}, {args}{options})\n"
                "  .then((rows) => rows[0]?.inner[0]?.field1.toFixed());"
            )
    return "\n".join(lines)


@pytest.mark.rule("FN626")
@pytest.mark.rule("FN323")
def test_a_large_project_costs_the_compiler_little(project: Path) -> None:
    (project / "client").mkdir()
    (project / "client" / "api.ts").write_text(write_api(large_project(), large_schema()))
    build = [str(ROOT / "node_modules" / ".bin" / "tsc"), "--project", "tsconfig.build.json"]
    package = project / "node_modules_of_app" / "tricedb"
    declared = [*build, "--emitDeclarationOnly", "--outDir", str(package)]
    subprocess.run(declared, cwd=ROOT / "clients" / "js", check=True, timeout=WAIT_S)
    paths = {"tricedb": [f"{package}/index.d.ts"], "tricedb/react": [f"{package}/react/index.d.ts"]}
    options = {**COMPILER_OPTIONS, "lib": ["es2023", "dom"], "paths": paths}
    (project / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": options, "files": ["app.ts"]})
    )
    (project / "app.ts").write_text(large_app())
    run = [*build[:1], "--project", str(project), "--extendedDiagnostics"]
    said = subprocess.run(run, capture_output=True, text=True, timeout=WAIT_S).stdout
    assert "error" not in said, said[:2000]
    figures = dict(re.findall(r"^([A-Z][\w ]+?):\s+([\d.]+)", said, re.MULTILINE))
    assert int(figures["Instantiations"]) <= 15_000, figures["Check time"]
