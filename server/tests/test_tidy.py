"""House rules a machine can see: sizes, names, layers, purity, dead code, rules and their tests.

The rules themselves are in CONTRIBUTING.md. Each test collects every offender before it fails.
It is one file because its tests share what they read of the tree.
"""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from support.source import ROOT, imports, modules, parsed, trees_are_kept
from trice.cli.serve import serve

__all__ = ["trees_are_kept"]

PYTHON_CLIENT = ROOT / "clients" / "python"

LINE_CHARACTERS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_EXPLAINED = 500
FILE_LINES_MAX = 800

BANNED_NAMES = frozenset(
    ("utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "service", "impl")
)

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split(" | "))
    for line in (
        "__main__",
        "testing",
        "asgi | cli",
        "server",
        "api",
        "session",
        "imports",
        "app_backups",
        "archive",
        "reach",
        "backups | rooms | streams | webhooks",
        "files",
        "calls",
        "accounts",
        "auth",
        "apps",
        "debug",
        "system_rows",
        "data_run",
        "database",
        "costs",
        "live",
        "rules",
        "query | transact",
        "store",
        "sync",
        "functions",
        "catalog | cel | schema",
        "bus | mail | memory",
        "room_limits | stream_limits",
        "background | loop_shares | rate_limit | shares",
        "config",
        "metrics | identity | slow_log",
        "errors",
        "ended | log | runtime | public_addresses",
        "account_limits",
        "app_backup_limits | archive_limits | auth_limits | backup_limits | download_limits"
        " | endpoint_limits | file_limits | function_limits | hook_limits | import_limits"
        " | job_limits | plan_limits | quota_limits | reach_limits | room_rule_limits"
        " | schema_limits | sync_limits | webhook_limits",
        "limits",
        "protocol",
    )
)
"""Top to bottom. A module may import its own part and lines below it, never beside or above."""

INSTANT_CITATION = re.compile(
    r"instant-(?P<file>realtime|http|semantics)"
    r"(?P<sections>(?:,? (?:and )?§[\d.]*\d(?:-§?[\d.]*\d)?)+)"
)

AMBIENT_MODULES = frozenset(("time", "random", "secrets", "uuid"))
IMPURE_MODULES = AMBIENT_MODULES | frozenset(
    (
        *("asyncio", "http", "os", "pathlib", "select", "selectors", "shutil", "signal", "socket"),
        *("ssl", "subprocess", "tempfile", "threading", "concurrent", "trice.runtime"),
    )
)
SKIPPED_NAMES = frozenset(
    (
        *(".git", ".venv", "node_modules", "build", "dist", "test-results", "trice-data"),
        *("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    )
)

RULE_LINE = re.compile(r"^- \*\*([A-Z]+\d+)\*\* ", re.MULTILINE)
CASE_CITATION = re.compile(r"^# ([A-Z]+\d+(?: [A-Z]+\d+)*):", re.MULTILINE)
TITLE_CITATION = re.compile(
    r"\b(?:test|it)(?:\.\w+\([^'\"`]*\)|\.\w+)?\(\s*['\"`]\[([A-Z]+\d+(?:, [A-Z]+\d+)*)\]"
)


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Every file of the project with one of `suffixes`, what tools made left out."""

    def walk(folder: Path) -> Iterator[Path]:
        for entry in sorted(folder.iterdir()):
            if entry.name in SKIPPED_NAMES:
                continue  # `.git` is a file where a branch has a folder of its own
            if entry.is_dir():
                yield from walk(entry)
            elif entry.suffix in suffixes:
                yield entry

    return tuple(walk(ROOT))


@cache
def instant_sections(name: str) -> frozenset[str]:
    """The numbers of the sections of spec/instant/`name`.md."""
    text = (ROOT / "spec" / "instant" / f"{name}.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", text, re.MULTILINE))


def layer(name: str) -> int:
    """Position in LAYERS, 0 at the top."""
    part = name.split(".")[1] if "." in name else ""
    for position, parts in enumerate(LAYERS):
        if part in parts:
            return position
    raise AssertionError(f"{name} belongs to no layer: add '{part}' to LAYERS in test_tidy.py")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def expect_none(offenders: list[str]) -> None:
    """Fail with one offender a line."""
    if offenders:
        pytest.fail("\n".join(["", *offenders]), pytrace=False)


def test_lines_and_files_stay_short() -> None:
    offenders = []
    for path in files(".py", ".ts", ".tsx", ".js", ".mjs"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and "Made by `trice generate`" in lines[0]:
            continue  # as long as the project that it is made of
        where = path.relative_to(ROOT)
        offenders += [
            f"{where}:{number} has {len(line)} characters"
            for number, line in enumerate(lines, 1)
            if len(line) > LINE_CHARACTERS_MAX
        ]
        if len(lines) > FILE_LINES_MAX:
            offenders.append(f"{where} has {len(lines)} lines")
        elif len(lines) > FILE_LINES_EXPLAINED and "one file because" not in "\n".join(lines[:40]):
            offenders.append(
                f"{where} has {len(lines)} lines and does not say 'one file because …' at its top"
            )
    expect_none(offenders)


def test_functions_fit_on_a_screen() -> None:
    offenders = []
    for path in files(".py"):
        for node in functions(parsed(path)):
            first = node.body[0]
            has_docstring = ast.get_docstring(node, clean=False) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
            size = (node.end_lineno or 0) - node.lineno + 1 - docstring
            if size > FUNCTION_LINES_MAX:
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {size}")
    expect_none(offenders)


def test_names_of_files_say_something() -> None:
    offenders = []
    for path in files(".py", ".ts", ".tsx", ".js", ".mjs"):
        where = path.relative_to(ROOT)
        words = {part.split(".")[0] for part in where.parts}
        if words & BANNED_NAMES or re.search(r"(^|[_-])v\d+\.", path.name):
            offenders.append(str(where))
    expect_none(offenders)


def test_imports_point_down() -> None:
    offenders = []
    for name in modules():
        for target, line in imports(name):
            if name == "trice" or not target.startswith("trice.") or target not in modules():
                continue
            is_same_part = name.split(".")[1] == target.split(".")[1]
            if not is_same_part and layer(target) <= layer(name):
                offenders.append(f"{name}:{line} imports {target}, which lies above or beside it")
    expect_none(offenders)


DOORS: dict[str, frozenset[str]] = {
    "session": frozenset(
        (
            *("live.live_query", "live.deltas", "live.planner", "catalog.catalog"),
            *("live.sync_load", "live.sync_tables", "store.commit"),
            *("rules.room_rights", "rules.environments"),
        )
    ),
    "api": frozenset(("catalog.dates", "rules.environments", "rules.room_rights")),
}
"""What may know of the engine below `database` besides that: the values that it hands out."""

ENGINE = frozenset(("live", "rules", "query", "transact", "store", "catalog"))


def test_sessions_and_routes_reach_the_engine_through_database() -> None:
    offenders = []
    for module in modules().values():
        part = module.name.split(".")[1] if "." in module.name else ""
        if part not in DOORS:
            continue
        for target, line in imports(module.name):
            below = target.removeprefix("trice.")
            if below.split(".")[0] in ENGINE and below not in DOORS[part]:
                offenders.append(f"{module.path.relative_to(ROOT)}:{line} imports {target}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("database.live"):
                offenders.append(f"{module.at(node)} goes past `Database`")
    expect_none(offenders)


WRITES_ITSELF = frozenset(("state", "subscription", "live", "opened"))
"""Names of what only its own methods change: SessionState, Subscription, LiveQuery,
OpenedSession."""


def test_sessions_change_what_they_hold_by_its_methods() -> None:
    offenders = []
    for module in modules().values():
        if not module.name.startswith("trice.session.") or module.name == "trice.session.state":
            continue
        for node in ast.walk(module.tree):
            is_written = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            if is_written and ast.unparse(node.value).split(".")[-1] in WRITES_ITSELF:
                offenders.append(f"{module.at(node)} {ast.unparse(node)}")
    expect_none(offenders)


def test_imports_make_no_cycle() -> None:
    finished: set[str] = set()
    cycles: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycles.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in finished:
            for target, _ in imports(name):
                if target in modules() and target != name:
                    visit(target, (*path, name))
            finished.add(name)

    for name in modules():
        visit(name, ())
    expect_none(cycles)


def test_pure_files_do_no_io() -> None:
    offenders = []
    for module in modules().values():
        if "No I/O." not in module.docstring:
            continue
        for target, line in imports(module.name):
            if target in IMPURE_MODULES or target.split(".")[0] in IMPURE_MODULES:
                offenders.append(f"{module.path.relative_to(ROOT)}:{line} imports {target}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                offenders.append(f"{module.at(node)} is asynchronous")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input"):
                offenders.append(f"{module.at(node)} calls {ast.unparse(node.func)}")
    expect_none(offenders)


def test_time_and_randomness_come_from_runtime() -> None:
    clocks = re.compile(r"(datetime\.(now|utcnow|today)|date\.today|os\.urandom)$")
    offenders = []
    for module in modules().values():
        if module.name == "trice.runtime":
            continue
        for target, line in imports(module.name):
            if target.split(".")[0] in AMBIENT_MODULES:
                offenders.append(f"{module.path.relative_to(ROOT)}:{line} imports {target}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and clocks.search(ast.unparse(node.func)):
                offenders.append(f"{module.at(node)} calls {ast.unparse(node.func)}")
    expect_none(offenders)


GENERATORS = tuple(sorted((ROOT / "scripts").glob("document_*.py")))
"""What `make gen` runs. What they read is in use: it is what clients are made of."""


def described_for_programs() -> set[str]:
    """Modules of the server that generators read."""
    return {
        name
        for path in GENERATORS
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom)
        for name in (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))
        if name in modules()
    }


def test_every_module_is_reached_from_the_command() -> None:
    """Or from the plugin of pytest, which `pyproject.toml` names, or by programs of others."""
    reached: set[str] = set()
    started = (
        "trice.asgi",
        "trice.cli.main",
        "trice.functions.worker.__main__",
        "trice.testing.plugin",
        "trice.sync",
    )
    waiting = [*started, *described_for_programs()]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in modules():
            continue
        reached.add(name)
        waiting.extend(target for target, _ in imports(name))
        waiting.append(name.rpartition(".")[0])
    expect_none(sorted(modules().keys() - reached - {"trice.__main__", "trice.store.judging"}))


ONLY_TESTS_ASK = frozenset(
    (
        *("settled", "holds_nothing", "waiting_bytes", "queries_bytes", "find_field", "find_link"),
        *("JudgedApart", "decode_commit", "catalog_before", "get_many"),
        *("advance", "pytest_addoption", "pytest_unconfigure"),
    )
)
"""`settled`: tests need not guess when background work is done. `holds_nothing`, `…_bytes`:
nothing is counted for those who have left. `find_…`: a rules document is checked when it is saved;
who asks it while judging reads and writes is not built yet.
`JudgedApart`, of `store.judging`: half of the contract of engines without Python inside, which
only tests have. The last two read the log, beside what writes it: no follower is built yet, and
tests show that one can be. `get_many` is a word of `ctx.db`: functions of apps call it. Tests of
these say `advance`, of `trice.testing`, and pytest calls `pytest_addoption`, `…_unconfigure`."""


def test_every_name_is_used() -> None:
    """A function, class, method or constant that no other line of the server mentions is dead."""
    used = set[str]()
    for module in modules().values():
        used |= mentions(module.tree)
    for path in GENERATORS:
        used |= mentions(parsed(path))
    offenders = [
        f"{module.at(node)} {name}"
        for module in modules().values()
        for name, node in definitions(module.tree)
        if name not in used | ONLY_TESTS_ASK and not (name.startswith("__") and name.endswith("__"))
    ]
    expect_none(offenders)


def mentions(tree: ast.Module) -> set[str]:
    """Every identifier a file uses: read, called, imported, or written as a string."""
    found = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                found.add(name)
            case ast.alias(name=name):
                found.add(name.rpartition(".")[2])
            case ast.Constant(value=str(text)) if text.isidentifier():
                found.add(text)
            case ast.MatchClass(kwd_attrs=names):
                found.update(names)
            case _:
                pass
    return found


PLAIN_DECORATORS = frozenset(
    ("property", "staticmethod", "classmethod", "cache", "overload", "override", "dataclass")
)
PLAIN_BASES = frozenset(
    (
        *("Protocol", "Generic", "Enum", "StrEnum", "IntEnum", "NamedTuple", "TypedDict"),
        *("Struct", "Exception", "object"),
    )
)


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Names a file defines; not those a library calls (registered, or of a library's class)."""
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if is_plain(node.decorator_list):
                yield node.name, node
            case ast.ClassDef():
                yield node.name, node
                bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
                if all(base in own or base.split(".")[-1] in PLAIN_BASES for base in bases):
                    for member in node.body:
                        match member:
                            case ast.FunctionDef() | ast.AsyncFunctionDef():
                                if is_plain(member.decorator_list):
                                    yield member.name, member
                            case _:
                                pass
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case _:
                pass


def is_plain(decorators: list[ast.expr]) -> bool:
    names = (ast.unparse(decorator).partition("(")[0] for decorator in decorators)
    return all(name.split(".")[-1] in PLAIN_DECORATORS for name in names)


@cache
def stated_rules() -> dict[str, str]:
    """Rule id -> file that states it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "spec").glob("*.md")):
        for rule in RULE_LINE.findall(path.read_text(encoding="utf-8")):
            assert rule not in found, f"{path.name} states {rule} again (first in {found[rule]})"
            found[rule] = path.name
    return found


@cache
def cited_rules() -> dict[str, str]:
    """Rule id -> one test that cites it."""
    found: dict[str, str] = {}
    for path in (*(ROOT / "server/tests").rglob("*.py"), *PYTHON_CLIENT.rglob("tests/*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rule":
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        found[str(argument.value)] = str(path.relative_to(ROOT))
    patterns = [(path, TITLE_CITATION) for path in files(".ts", ".tsx", ".js", ".mjs")]
    for path, pattern in patterns:
        for group in pattern.findall(path.read_text(encoding="utf-8")):
            found.update(dict.fromkeys(group.split(", "), str(path.relative_to(ROOT))))
    return found | cases_by_rule()


@cache
def cases_by_rule() -> dict[str, str]:
    """Rule id -> one file of cases that cites it."""
    return {
        rule: str(path.relative_to(ROOT))
        for path in (ROOT / "spec" / "cases").rglob("*.txt")
        for group in CASE_CITATION.findall(path.read_text(encoding="utf-8"))
        for rule in group.split(" ")
    }


def test_every_rule_has_a_test() -> None:
    missing = [f"{rule} of {where}" for rule, where in stated_rules().items()]
    expect_none([line for line in missing if line.split(" ")[0] not in cited_rules()])


def test_every_citation_has_a_rule() -> None:
    unknown = {rule: path for rule, path in cited_rules().items() if rule not in stated_rules()}
    expect_none([f"{rule} in {path}" for rule, path in unknown.items()])


def test_every_fact_about_instant_that_is_cited_stands_in_spec() -> None:
    """`instant-<file> §<section>` names a heading of spec/instant/<file>.md."""
    offenders = []
    for path in files(".py", ".md", ".mjs", ".ts"):
        text = re.sub(r"\n[ \t]*(?:# |// |\* )?", " ", path.read_text(encoding="utf-8"))
        for citation in INSTANT_CITATION.finditer(text):
            for section in re.findall(r"\d+(?:\.\d+)*", citation["sections"]):
                if section not in instant_sections(citation["file"]):
                    where = path.relative_to(ROOT)
                    offenders.append(f"{where} cites instant-{citation['file']} §{section}")
    expect_none(offenders)


def test_how_long_tests_wait_is_said_in_one_place() -> None:
    """A number of seconds that is right here is wrong on a machine four times slower."""
    offenders = []
    for path in (ROOT / "server" / "tests").rglob("*.py"):
        if path.name == "patience.py" or "node_modules" in path.parts:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and any(map(is_seconds, waits(node))):
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)[:60]}")
    expect_none(offenders)


def test_tests_read_from_top_to_bottom() -> None:
    """One that awaits is a coroutine itself, and none is a function around another that is."""
    offenders = [
        f"{path.relative_to(ROOT)}:{inner.lineno} {test.name}"
        for path in (ROOT / "server" / "tests").rglob("test_*.py")
        if "node_modules" not in path.parts
        for test in parsed(path).body
        if isinstance(test, ast.FunctionDef) and test.name.startswith("test_")
        for inner in test.body
        if isinstance(inner, ast.AsyncFunctionDef)
    ]
    expect_none(offenders)


HOLD_A_STEP = frozenset(
    (
        *("_adopt", "_drop", "_due", "_loop_task", "_patch", "_refresh", "_run_now"),
        *("_run_on_thread", "_settle", "_after_group", "_writer", "_writer_thread"),
        *("_first_answers", "_is_scheduled", "_sends", "_turn", "_run"),
    )
)
"""Of the live answers, the writer, the queues and the event loop: tests of what happens at once
hold one of them up at a step that nobody outside can name."""
LOOK_INSIDE = frozenset(
    (
        *("_aggregates", "_by_attr", "_by_entity", "_by_span", "_cache", "_early", "_entries"),
        *("_grown", "_inner", "_is_reading", "_kept_bytes", "_lanes", "_owed_bytes", "_planner"),
        *("_queries", "_reader", "_received", "_recent", "_registry", "_resting", "_rows"),
        *("_subscriptions", "_raw", "_connection", "_FIELDS", "_database", "_engines"),
    )
)
"""Tests of memory count what is kept, others statements and rows below the doors: nothing else may
ask for it."""


def test_tests_ask_by_public_names() -> None:
    """What begins with an underscore belongs to its own file; the exceptions are listed."""
    offenders = []
    for path in (ROOT / "server" / "tests").rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        tree = parsed(path)
        own = {node.name for node in ast.walk(tree) if hasattr(node, "name")}
        own |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls")
        }
        for node, name in private_names(tree):
            if name not in own | HOLD_A_STEP | LOOK_INSIDE:
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    expect_none(offenders)


def private_names(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Names with an underscore that are read from something, or put in its place."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if re.match(r"_[a-z]", name):
                yield node, name
            case ast.Call(func=ast.Attribute(attr="setattr"), args=args):
                for word in args[:2]:
                    if isinstance(word, ast.Constant):
                        name = str(word.value).rpartition(".")[2]
                        if re.match(r"_[a-zA-Z]", name):
                            yield node, name
            case _:
                pass


def waits(call: ast.Call) -> Iterator[ast.expr]:
    """The seconds that a call waits at most, or until it goes on."""
    yield from (word.value for word in call.keywords if word.arg in ("timeout", "open_timeout"))
    name = ast.unparse(call.func).rpartition(".")[2]
    places = {"timeout": 0, "wait": 0, "sleep": 0, "join": 0, "result": 0, "wait_for": 1}
    yield from call.args[places[name] :][:1] if name in places else ()


def is_seconds(node: ast.expr) -> bool:
    """Written as a number; 0 is no time."""
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0


@pytest.mark.parametrize(("file", "least"), [("query.md", 0.75), ("transact.md", 0.85)])
def test_other_languages_can_run_the_rules(file: str, least: float) -> None:
    """What is asked and what is answered stand in case files; only how it is done, in Python."""
    rules = [rule for rule, where in stated_rules().items() if where == file]
    share = sum(rule in cases_by_rule() for rule in rules) / len(rules)
    assert share >= least, f"{file}: case files cite {share:.0%} of the rules"


def test_every_setting_is_documented() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    offered = {
        name
        for option in serve.params
        if isinstance(option, click.Option)
        for name in (option.opts[0], str(option.envvar))
    }
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `(TRICE_[A-Z_]+)` \|", settings, re.MULTILINE)
    documented = {name for row in rows for name in row}
    expect_none(
        [f"{name} is offered, but not in docs/settings.md" for name in offered - documented]
    )
    expect_none(
        [f"{name} is in docs/settings.md, but not offered" for name in documented - offered]
    )


def test_contributing_lists_layers_and_support_as_they_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"make no cycle: (.*?)\.\n", text, re.DOTALL)
    layers = [frozenset(layer.split(" | ")) for layer in " ".join(listed.split()).split(", ")]
    assert layers == list(LAYERS)
    section = text.partition("(`server/tests/support`)")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    there = {path.stem for path in (ROOT / "server/tests/support").glob("[!_]*.py")}
    assert told == sorted(there)


@pytest.mark.parametrize("path", GENERATORS, ids=lambda path: path.stem)
def test_generated_documents_are_fresh(path: Path) -> None:
    script = runpy.run_path(str(path))
    assert script["TARGET"].read_text(encoding="utf-8") == script[path.stem](), "run `make gen`"


def test_the_sync_half_of_the_python_client_is_fresh() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "sync_client.py"))["made"]()
    there = set((PYTHON_CLIENT / "src/trice_client/_sync").glob("*.py"))
    assert there == set(made)
    stale = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make gen`"


def test_nothing_is_left_for_later_without_an_issue() -> None:
    later = re.compile(r"(#|//|\*).*\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b(?!.*#\d)")
    expect_none(grep(later, files(".py", ".ts", ".tsx", ".js", ".mjs", ".css", ".sql", ".toml")))


def test_nothing_points_at_one_machine() -> None:
    machine = re.compile(r"(?<![\w.])/(wo" + r"rk|ro" + r"ot|ho" + r"me|Us" + r"ers)/\w")
    suffixes = (".py", ".ts", ".tsx", ".js", ".mjs", ".md", ".toml", ".json", ".txt", "")
    expect_none(grep(machine, files(*suffixes)))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_name_no_registry(name: str) -> None:
    expect_none(grep(re.compile(r"://|--(extra-)?index-url|--find-links"), (ROOT / name,)))


def test_package_lock_names_no_registry() -> None:
    remote = re.compile(r'"resolved": "[a-z+]+:')
    expect_none(grep(remote, (ROOT / "package-lock.json",)))


def grep(pattern: re.Pattern[str], paths: tuple[Path, ...]) -> list[str]:
    """Lines that match, as `path:line text`."""
    return [
        f"{path.relative_to(ROOT)}:{number} {line.strip()[:80]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
