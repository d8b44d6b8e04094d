"""Run `spec/cases` on the engine, on the naive model and on a client's evaluator.

`REWRITE=1` writes what the engine answers into the files; read the diff before you keep it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from cases.case_file import (
    ROOT,
    Case,
    Command,
    alias_uuid,
    load_seed,
    read_cases,
    render_error,
    render_flat,
    render_pages,
    render_tree,
    resolve,
    with_aliases,
    write_cases,
)
from model.admin import expand
from model.client import evaluate
from model.query import run
from model.state import Model
from model.transact import transact
from support.engines import open_database
from support.runtime import FakeRuntime
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST
from trice.protocol.ids import EventId
from trice.rules.document import Rules

FILES = [path for folder in ("query", "transact") for path in sorted((ROOT / folder).glob("*.txt"))]
SEED_ROWS = 4
"""Rows of a seed per transaction: some entities are of one age, some are not."""
IS_REWRITING = bool(os.environ.get("REWRITE"))
LOW_LEVEL = {"add-triple", "retract-triple", "deep-merge-triple", "delete-entity", "add-attr"}
LOW_LEVEL |= {"restore-attr", "update-attr", "rule-params"}


def has_low_level(steps: Any) -> bool:
    """Whether steps are those of sessions."""
    listed = steps if isinstance(steps, list) else []
    return any(isinstance(step, list) and step[:1] and step[0] in LOW_LEVEL for step in listed)


def has_totals(query: dict[str, Any]) -> bool:
    """Whether a form asks for more than a count, which the model does not know."""
    options = [form.get("$") or {} for form in query.values() if isinstance(form, dict)]
    return any(
        isinstance(each, dict) and isinstance(each.get("aggregate"), dict) for each in options
    )


def name(attr: dict[str, Any]) -> str:
    """`namespace.label`"""
    return ".".join(attr["forward-identity"][1:])


class Stage:
    """One case being run: the engine and, as far as it can follow, the model."""

    def __init__(self, case: Case, db: Database, runtime: FakeRuntime) -> None:
        self.case = case
        self.db = db
        self.runtime = runtime
        self.model = Model(attr for attr in db.catalog.wire() if attr["catalog"] == "user")
        self.attr_ids: dict[str, str] = {}
        self.cursors: dict[str, Any] = {}
        self.serial = 0
        self.acknowledged: set[int] = set()

    def new_uuid(self) -> str:
        self.serial += 1
        return alias_uuid(f"new{self.serial}")

    def resolve(self, value: Any) -> Any:
        for attr in self.db.catalog.wire():
            self.attr_ids.setdefault(name(attr), attr["id"])
        return resolve(value, self.attr_ids, self.cursors)

    # --- commands --------------------------------------------------------------------------

    async def transact(self, steps: Any, words: list[str]) -> str:
        self.runtime.now += 1
        is_low = "low" in words or ("high" not in words and has_low_level(steps))
        identity = GUEST if "as=guest" in words else ADMIN
        events = [word[6:] for word in words if word.startswith("event=")]
        try:
            if is_low:
                event_id = EventId(events[0]) if events else None
                tx = await self.db.transact(steps, identity=identity, event_id=event_id)
            else:
                strict = "strict" in words
                tx = await self.db.transact_admin(
                    steps, identity=identity, throw_on_missing_attrs=strict
                )
        except TriceError as failure:
            return render_error(failure.code, failure.hint)
        if tx in self.acknowledged:
            return "ok again"
        self.acknowledged.add(tx)
        if "model" not in self.case.skips and not IS_REWRITING:
            low = steps if is_low else expand(self.model, steps, new_uuid=self.new_uuid)
            self.model = transact(
                self.model, low, now_ms=self.runtime.now, new_id=lambda *_: self.new_uuid()
            )
        return "ok"

    async def query(self, query: dict[str, Any], words: list[str]) -> str:
        identity = GUEST if "as=guest" in words else ADMIN
        is_full = "full" in words
        try:
            tree = orjson.loads(
                await self.db.query_nested(query, identity=identity, is_inferring="infer" in words)
            )
            answer = await self.db.query_flat(query, identity=identity)
        except TriceError as failure:
            return render_error(failure.code, failure.hint)
        flat = orjson.loads(answer.result_json)
        pages = flat[0]["data"].get("page-info") or {}
        for label, page in pages.items():
            self.cursors[f"<start {label}>"] = page.get("start-cursor")
            self.cursors[f"<end {label}>"] = page.get("end-cursor")
        for label, totals in (flat[0]["data"].get("aggregate") or {}).items():
            assert tree[label] == totals
        text = render_tree(tree, query, is_full=is_full)
        self.check_others(query, flat, text, words)
        if "flat" in words:
            names = {each["id"]: name(each) for each in self.db.catalog.wire()}
            text = render_flat(flat, names)
        return "\n".join(part for part in (text, render_pages(pages)) if part)

    def check_others(
        self, query: dict[str, Any], flat: list[Any], text: str, words: list[str]
    ) -> None:
        """The model and a client that got the flat result must show the same."""
        is_full = "full" in words
        if IS_REWRITING or "infer" in words:
            return
        if "client" not in self.case.skips:
            shown = evaluate(flat, self.db.catalog.wire(), query)
            assert render_tree(shown, query, is_full=is_full) == text, "client"
        if "model" not in self.case.skips and "as=guest" not in words and not has_totals(query):
            answer = run(self.model, query)
            assert render_tree(answer.tree, query, is_full=is_full) == text, "model"
            pages = flat[0]["data"].get("page-info") or {}
            assert render_pages(answer.pages) == render_pages(pages), "model"

    def attrs(self, etype: str) -> str:
        """The attrs of a namespace, one line each."""
        lines = []
        for attr in self.db.catalog.wire():
            _, owner, label = attr["forward-identity"]
            if owner == etype and attr["catalog"] == "user":
                flags = [flag[:-1] for flag in ("unique?", "index?", "required?") if attr[flag]]
                flags += ["many"] if attr["cardinality"] == "many" else []
                kind = attr.get("checked-data-type", attr["value-type"])
                seen = "/".join(attr["inferred-types"] or ["nothing"])
                lines.append(" ".join([f"{label}: {kind}", *flags, f"seen {seen}"]))
        return "\n".join(sorted(lines))

    async def run(self, command: Command) -> str:
        match command.words:
            case ["rules"]:
                self.db.set_rules(Rules.parse(json.loads(command.source)))
                return "ok"
            case ["attrs", etype]:
                return self.attrs(etype)
            case ["transact", *words]:
                return await self.transact(self.resolve(json.loads(command.source)), words)
            case ["query", *words]:
                return await self.query(self.resolve(json.loads(command.source)), words)
            case _:
                raise AssertionError(f"no such command: {command.words}")


async def play(case: Case, path: Path) -> list[str]:
    """Run a case's commands; return what each answered."""
    schema, rows = load_seed(case.seed)
    runtime = FakeRuntime()
    db = await open_database(path, runtime=runtime, rules=Rules.parse(None), schema=schema)
    try:
        stage = Stage(case, db, runtime)
        for start in range(0, len(rows), SEED_ROWS):
            batch = rows[start : start + SEED_ROWS]
            assert await stage.transact(stage.resolve(batch), []) == "ok", batch
        return [with_aliases(await stage.run(command)) for command in case.commands]
    finally:
        await db.close()


CASES = [case for path in FILES for case in read_cases(path)]


@pytest.mark.skipif(IS_REWRITING, reason="the expected parts are being written")
@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=pytest.mark.rule(*c.rules)) for c in CASES]
)
async def test_case(case: Case, tmp_path: Path) -> None:
    answers = await play(case, tmp_path / "app.db")
    assert answers == [command.expected for command in case.commands]


@pytest.mark.skipif(not IS_REWRITING, reason="only with REWRITE=1")
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
async def test_rewrite(file: Path, tmp_path: Path) -> None:
    cases = read_cases(file)
    for number, case in enumerate(cases):
        answers = await play(case, tmp_path / f"{number}.db")
        for command, answer in zip(case.commands, answers, strict=True):
            command.expected = answer
    write_cases(file, cases)
