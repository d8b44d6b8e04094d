"""The shared case files through the Python client: what it asks once, and what it watches.

Left out are cases of what only sessions send or see (flat results, low-level steps, event ids,
steps that no builder makes), of the server's catalog, and of rules that come into force midway.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from cases.case_file import (
    ROOT,
    Case,
    Command,
    load_seed,
    read_cases,
    render_error,
    render_pages,
    render_tree,
    resolve,
    with_aliases,
)
from client_apps import App, make_app
from support.patience import WAIT_S
from trice_client import Chunk, Client, TriceError, tx

SEED_ROWS = 4
"""Rows of a seed per transaction, as where the cases are written."""
ACTIONS = {
    **{name: name for name in ("create", "update", "merge", "increment", "link", "unlink")},
    "ruleParams": "rule_params",
}
WORDS = {
    "query": {"as=guest", "full", "infer"},
    "transact": {"as=guest", "strict", "high"},
}


def has_rules(case: Case) -> bool:
    """Whether rules come into force first: the app is made with them."""
    return case.commands[0].words == ["rules"]


def is_ours(command: Command) -> bool:
    kind, *words = command.words
    if not set(words) <= WORDS.get(kind, set()) or kind not in WORDS:
        return False
    given = json.loads(command.source)
    if kind == "query":  # the ids of attrs, "#todos.title", are what sessions know
        return isinstance(given, dict) and '"#' not in command.source
    return isinstance(given, list) and bool(given) and all(is_built(step) for step in given)


def is_built(step: Any) -> bool:
    """Whether `tx` makes such a step."""
    if not isinstance(step, list) or not 3 <= len(step) <= 5 or "#" in json.dumps(step):
        return False
    action, etype, entity, *more = step
    if not isinstance(etype, str) or not isinstance(entity, str):
        return False
    if action == "delete":
        return not any(more)
    has_options = len(more) == 2
    if has_options and not isinstance(more[1], dict):
        return False
    if has_options and (action not in ("update", "merge") or list(more[1]) != ["upsert"]):
        return False
    return action in ACTIONS and bool(more) and isinstance(more[0], dict)


def chunk(step: Any) -> Chunk:
    action, etype, entity, *more = step
    if action == "delete":
        return tx[etype][entity].delete()
    values, *options = more
    upsert = options[0] if options else {}
    found: Chunk = getattr(tx[etype][entity], ACTIONS[action])(values, **upsert)
    return found


FILES = [path for folder in ("query", "transact") for path in sorted((ROOT / folder).glob("*.txt"))]
CASES = [
    case
    for path in FILES
    for case in read_cases(path)
    if all(is_ours(command) for command in case.commands[has_rules(case) :])
]


class Stage:
    """One case being run, by an app of its own."""

    def __init__(self, db: Client) -> None:
        self.db = db
        self.cursors: dict[str, Any] = {}

    def run(self, command: Command) -> str:
        kind, *words = command.words
        caller = self.db.as_guest() if "as=guest" in words else self.db
        given = resolve(json.loads(command.source), {}, self.cursors)
        try:
            if kind == "query":
                return self.query(caller, given, words)
            caller.transact(list(map(chunk, given)), adds_attrs="strict" not in words)
        except TriceError as failure:
            return render_error(failure.code, dict(failure.hint))
        return "ok"

    def query(self, caller: Client, query: dict[str, Any], words: list[str]) -> str:
        tree = caller.query(query, infer="infer" in words)
        with caller.subscribe_query(query) as live:
            answer = live.get(WAIT_S)
        assert answer.data == caller.query(query), "what is live is what is asked once"
        pages = answer.page_info or {}
        for label, page in pages.items():
            self.cursors[f"<start {label}>"] = page.get("start-cursor")
            self.cursors[f"<end {label}>"] = page.get("end-cursor")
        text = render_tree(tree, query, is_full="full" in words)
        return "\n".join(part for part in (text, render_pages(pages)) if part)


def play(url: str, case: Case) -> list[str]:
    """Run a case's commands; return what each answered."""
    schema, rows = load_seed(case.seed)
    rules = json.loads(case.commands[0].source) if has_rules(case) else None
    app: App = make_app(url, rules, schema=schema)
    with app.sync() as db:
        stage = Stage(db)
        for start in range(0, len(rows), SEED_ROWS):
            batch = resolve(rows[start : start + SEED_ROWS], {}, {})
            db.transact([chunk(step) for step in batch])
        answers = [with_aliases(stage.run(command)) for command in case.commands[has_rules(case) :]]
        return ["ok", *answers] if has_rules(case) else answers


def test_most_cases_concern_this_client() -> None:
    assert len(CASES) >= 140


@pytest.mark.rule("PY104")
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_case(url: str, case: Case) -> None:
    assert play(url, case) == [command.expected for command in case.commands]
