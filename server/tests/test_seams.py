"""Seams a machine can see: who may know an engine, who writes SQL, what live takes of query."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support.source import ROOT, Module, imports, modules, trees_are_kept
from test_tidy import expect_none
from trice.query.ast import Op

__all__ = ["trees_are_kept"]

ENGINES = "trice.store.sqlite"
CHOOSES_ENGINE = frozenset(("trice.server",))
"""Who names an engine. Everybody else has what `store/engine.py` says."""

COMPOSES_SQL = ("trice.store.", "trice.query.sql.", "trice.archive.pocketbase.database")
"""Who writes SQL. The last one reads the database of another program."""

LOOK_AT_SQLITE = frozenset(
    (
        "apps/test_attr_change.py",  # indexes, entry by entry
        "apps/test_data_dir.py",  # damaged files
        "apps/test_first_platform.py",  # a file of the first format
        "apps/test_registry.py",  # damaged files
        "apps/test_schema_jobs_killed.py",  # the same after kills
        "auth/test_rows.py",  # which index answers
        "contract/conftest.py",  # the engines that the suite runs on
        "live/test_aggregates.py",
        "live/test_patch.py",  # how many statements are run
        "query/test_grown.py",  # figures of grown tables
        "scripts/test_quick_tests.py",  # its name only
    )
)
"""Tests outside of `store/` that know it is SQLite, each for what it counts or damages."""

SQL = re.compile(
    r"\bSELECT\b.*\bFROM\b|\bINSERT\b.*\bINTO\b|\bUPDATE\b.*\bSET\b|\bDELETE\s+FROM\b"
    r"|\b(CREATE|ALTER|DROP)\s+(TABLE|INDEX|VIEW|UNIQUE)\b|\bPRAGMA\b|\bEXPLAIN\b"
    r"|\bIS (NOT )?NULL\b|\bORDER BY\b|\btypeof\(|\bcarray\(|\bx'([0-9a-f]{2})*'",
    re.DOTALL,
)
"""What marks SQL in a text; lower case is English."""

LIVE_TAKES = frozenset(
    (
        "ast",  # what was asked
        "cost",
        "cursor",  # where a page begins and ends
        "encode",
        "parse.forms",
        "plan",
        "reads.anchors",
        "reads.forms",  # what an answer depends on
        "run",
        "shapes",
        "tree",
        "visibility",
    )
)
"""What `live` may use of `query`: how answers are found is none of it."""

OPERATOR_FILES = frozenset(
    ("query/ast.py", "query/parse/where.py", "query/sql/where.py", "live/patch/matching.py")
)
"""Where an operator of `where` that is nothing special is named: what there is, how it is written,
what the database does, what memory does."""


def texts(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """The string literals of a module but for docstrings; what is put into one reads as `{}`."""
    described = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    inner: set[int] = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.JoinedStr(values=values):
                inner.update(map(id, values))
                yield (
                    node,
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "{}"
                        for part in values
                    ),
                )
            case ast.Constant(value=str(text)) if id(node) not in described | inner:
                yield node, text
            case _:
                pass


def test_only_the_server_chooses_an_engine() -> None:
    offenders = [
        f"{module.path.relative_to(ROOT)}:{line} imports {target}"
        for module in modules().values()
        if not module.name.startswith(ENGINES) and module.name not in CHOOSES_ENGINE
        for target, line in imports(module.name)
        if target.startswith(ENGINES)
    ]
    expect_none(offenders)


def test_tests_of_the_rest_name_no_engine() -> None:
    """But those that look at statements, files or figures, and the doubles that they stand on."""
    folder = ROOT / "server/tests"
    offenders = [
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if ENGINES in path.read_text(encoding="utf-8") and path != Path(__file__)
    ]
    allowed = {name for name in offenders if name.startswith(("store/", "support/"))}
    expect_none(sorted(set(offenders) - allowed - LOOK_AT_SQLITE))


def test_sql_is_composed_in_the_store_and_in_query_sql() -> None:
    offenders = [
        f"{module.at(node)} {text.strip()[:60]!r}"
        for module in modules().values()
        if not module.name.startswith(COMPOSES_SQL)
        for node, text in texts(module)
        if SQL.search(text)
    ]
    expect_none(offenders)


def test_only_the_store_reads_where_attrs_are_kept() -> None:
    """`Attr.table`, `Attr.column` and `Namespace.table` are notes of the engine's own."""
    notes = re.compile(r"\b(attr|namespace|old|new|placed)\.(table|column)$")
    offenders = [
        f"{module.at(node)} reads {ast.unparse(node)}"
        for module in modules().values()
        if not module.name.startswith(("trice.store.", "trice.catalog."))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and notes.search(ast.unparse(node))
    ]
    expect_none(offenders)


def test_query_sql_knows_no_engine() -> None:
    """It writes what `store/dialect.py` says is common; types and functions come from there."""
    special = re.compile(
        r"\bx'|\btypeof|\biif\(|\bhex\(|\bcarray|\bGLOB\b|\bLIKE\b|\bCAST\b|\bFILTER\b|>>"
        r"|\bRETURNING\b|\b\w+_\w+\(|\b(TRUE|FALSE) (AND|OR)\b|\bnullif\("
    )
    offenders = [
        f"{module.at(node)} {text.strip()[:60]!r}"
        for module in modules().values()
        if module.name.startswith("trice.query.sql.")
        for node, text in texts(module)
        if special.search(text)
    ]
    expect_none(offenders)


def test_live_takes_of_query_what_is_listed() -> None:
    taken: set[str] = set()
    offenders = []
    for module in modules().values():
        if not module.name.startswith("trice.live"):
            continue
        for target, line in imports(module.name):
            if target.startswith("trice.query."):
                part = target.removeprefix("trice.query.")
                taken.add(part)
                if part not in LIVE_TAKES:
                    offenders.append(f"{module.path.relative_to(ROOT)}:{line} imports {target}")
    expect_none(offenders)
    expect_none([f"nobody in live imports query.{part}" for part in LIVE_TAKES - taken])


def test_an_operator_touches_at_most_four_files() -> None:
    """Held on `$ilike`, which no index, anchor or rule knows of."""
    naming = {
        str(module.path.relative_to(ROOT / "server/src/trice"))
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == f"Op.{Op.ILIKE.name}"
    }
    naming |= {
        str(module.path.relative_to(ROOT / "server/src/trice"))
        for module in modules().values()
        for node, text in texts(module)
        if text == Op.ILIKE.value
    }
    assert naming <= OPERATOR_FILES, naming - OPERATOR_FILES
