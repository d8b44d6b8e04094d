"""`trice test-rules`: try the rules of an app against a file of cases.

0 every case passed · 1 a case failed, or too little was tried · 2 the file cannot be used
"""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from trice.cli.documents import read_document
from trice.cli.explanations import explanation_lines, print_warnings, rule_name, verdict_word
from trice.cli.options import option
from trice.cli.rule_suite import Outcome, run_suite
from trice.errors import TriceError
from trice.rules.environments import ROOM_ACTIONS
from trice.rules.explain.testing import Coverage, parse_suite
from trice.runtime import SystemRuntime

_PYTHON_NAMES: Final = ("schema", "rules", "open", "users", "data", "cases")
_CHECKS_EXPLAINED: Final = 3

_QUOTED_ID: Final = re.compile(r'"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')

_HELP: Final = """Try an app's rules against the cases of FILE (.yaml, .json, .py).

Every case runs on an app of its own kind, in a temporary folder, with the real engine; what it
writes is undone. Failures come with the reason; conditions never seen both true and false, and
rules that never decided, are listed.

Example: trice test-rules rules.test.yaml --min-coverage 90

\b
FILE holds
  schema:  {entities: ..., links: ...}         as pushed to the server; optional
  rules:   {todos: {allow: {view: ...}}}       or a file beside it: rules.json; or --rules FILE
  open:    false                               what holds where no rule says anything
  users:   {alice: {email: alice@example.com}}
  data:    {todos: {milk: {title: Milk, owner: "@alice"}}}
  cases:
    - {as: guest, op: view,   on: todos/milk, expect: deny}
    - {as: alice, op: update, on: todos/milk, set: {done: true}, expect: allow}
    - {as: alice, op: query,  query: {todos: {}}, expect: ["@todos/milk"]}

\b
as       guest, or the name of a user
op       view       on, field?      is the entity, or one field of it, visible?
         query      query           ids at the top of the answer; allow: nothing is hidden
         create     on, set?, link? a new name
         update     on, set         merge likewise
         delete     on
         link       on, link        {label: "@todos/milk"}; unlink likewise
         transact   steps           [[op, etype, "@todos/milk", {...}], ...]
         join       room, data?     chat/general or chat/@chats/general; data: shown at first
         presence   room, data      read likewise, without data
         publish    room, topic, data?
expect   allow, deny, error (a rule that cannot be evaluated), or ids for a query
also     name, params (ruleParams), ip, origin

A text that starts with @ is an id: "@todos/milk", "@alice" for a user; "@@" is a plain @. A .py
file holds CASES, and SCHEMA, RULES, OPEN, USERS, DATA as it likes.

Exit code: 0 passed, 1 failed, 2 FILE cannot be used.
"""


@click.command(
    "test-rules",
    help=_HELP,
    context_settings={"max_content_width": 100},
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules to try (JSON), instead of those in FILE.",
)
@option(
    "--schema",
    "schema_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Schema of the app (JSON), instead of the one in FILE.",
)
@option(
    "--min-coverage",
    type=click.FloatRange(0, 100),
    default=0,
    help="Fail when less than this percentage of the conditions' results was seen.",
)
@option("--json", "is_json", is_flag=True, help="Print the outcome as JSON.")
def test_rules(
    *,
    file: Path,
    rules_file: Path | None,
    schema_file: Path | None,
    min_coverage: float,
    is_json: bool,
) -> None:
    """See `_HELP`."""
    document = _load(file)
    for key, path in (("rules", rules_file), ("schema", schema_file)):
        named = document.get(key) if isinstance(document, dict) else None
        if path is None and isinstance(named, str):
            path = file.parent / named
        if path is not None:
            document = {**document, key: _load(path)}
    try:
        suite = parse_suite(document)
        outcomes, coverage, warnings = asyncio.run(run_suite(suite, runtime=SystemRuntime()))
    except TriceError as failure:
        _print_faults(file, failure)
        raise SystemExit(2) from None
    is_passed = all(outcome.is_passed for outcome in outcomes)
    is_enough = coverage.percent >= min_coverage
    if is_json:
        answer = {**_as_json(outcomes, coverage), "warnings": warnings}
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print_warnings(warnings)
        names = suite.names
        click.echo("\n".join(_report(file, outcomes, coverage, names, min_coverage)))
    raise SystemExit(0 if is_passed and is_enough else 1)


def _load(path: Path) -> Any:
    """Read the document in a file; a file that cannot be read is wrong usage."""
    try:
        if path.suffix == ".py":
            found = runpy.run_path(str(path))
            return {name: found[name.upper()] for name in _PYTHON_NAMES if name.upper() in found}
    except Exception as failure:
        # Any failure of the Python in the file is told in one line.
        raise click.UsageError(f"{path} cannot be read: {failure}") from failure
    return read_document(path)


def _print_faults(file: Path, failure: TriceError) -> None:
    faults = failure.hint.get("errors") or [{"message": failure.message}]
    click.echo(f"{verdict_word('error')}{file} cannot be used:", err=True)
    for fault in faults:
        path = fault.get("in") or ()
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
        # The text of a fault of a rule begins with its path already.
        prefix = "" if fault["message"].startswith(where[1:]) else f"{where[1:]}: "
        click.echo(f"  {prefix}{fault['message']}", err=True)


def _report(
    file: Path,
    outcomes: list[Outcome],
    coverage: Coverage,
    names: Mapping[str, str],
    min_coverage: float,
) -> Iterator[str]:
    failed = [outcome for outcome in outcomes if not outcome.is_passed]
    for outcome in failed:
        yield from _failure(outcome, names)
    yield from _coverage(coverage)
    verdict = "failed" if failed or coverage.percent < min_coverage else "passed"
    counted = f"{len(outcomes) - len(failed)} of {len(outcomes)} cases of {file.name} passed"
    yield f"{verdict_word(verdict)}{counted}; coverage {coverage.percent:.0f} %" + (
        f", {min_coverage:g} % wanted" if coverage.percent < min_coverage else ""
    )


def _failure(outcome: Outcome, names: Mapping[str, str]) -> Iterator[str]:
    case = outcome.case
    target = names.get(case.entity, case.entity)
    if case.op in ROOM_ACTIONS:
        room_type, room_id = case.room
        target = f"{room_type}/{names.get(room_id, room_id)}"
    yield f"{verdict_word('failed')}{case.name}: {case.who or 'guest'} {case.op} {target}".rstrip()
    got = outcome.problem or _shown(outcome.got, names)
    yield f"  expected {_shown(case.expect, names)}, got {got}"
    # Show what spoke against the expectation: if a refusal was expected, what allowed it.
    is_unwanted = case.expect == "deny" and outcome.got == "allow"
    told = [check for check in outcome.checks if check.is_allowed == is_unwanted]
    for check in told[:_CHECKS_EXPLAINED]:
        kind = f"{check.action} {check.etype}" + (f".{check.label}" if check.label else "")
        verdict = "allowed" if check.is_allowed else "error" if check.error else "denied"
        yield f"  {verdict_word(verdict)}{kind} {names.get(check.id, check.id)}"
        for line in explanation_lines(check.explanation):
            yield f"    {_with_names(line, names)}"
    if len(told) > _CHECKS_EXPLAINED:
        yield f"  … and {len(told) - _CHECKS_EXPLAINED} more checks"
    yield ""


def _with_names(line: str, names: Mapping[str, str]) -> str:
    """A line with the names that the file of cases gives to entities in place of their ids."""
    return _QUOTED_ID.sub(
        lambda found: f"@{names[found[1]]}" if found[1] in names else found[0], line
    )


def _shown(expected: str | frozenset[str], names: Mapping[str, str]) -> str:
    if isinstance(expected, str):
        return expected
    return f"[{', '.join(sorted(names.get(id_, id_) for id_ in expected))}]"


def _coverage(coverage: Coverage) -> Iterator[str]:
    """The rules that no case tried, as a table; nothing if there are none."""
    rows: list[tuple[str, str, str]] = []
    for place, rule in coverage.rules.items():
        if not rule.allowed and not rule.denied:
            rows.append((place, "", "never decided"))
            continue
        for text, seen in rule.conditions.items():
            missing = [word for word in ("true", "false") if (word == "true") not in seen]
            if missing:
                rows.append((place, text, f"never {' or '.join(missing)}"))
    if not rows:
        return
    yield "Not tried:"
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for place, text, what in rows:
        yield f"  {place:<{widths[0]}}  {text:<{widths[1]}}  {what}"
    yield ""


def _as_json(outcomes: list[Outcome], coverage: Coverage) -> dict[str, Any]:
    return {
        "cases": [
            {
                "name": outcome.case.name,
                "passed": outcome.is_passed,
                "expect": _json(outcome.case.expect),
                "got": _json(outcome.got),
                "problem": outcome.problem or None,
                "checks": [
                    {
                        "action": check.action,
                        "etype": check.etype,
                        "id": check.id,
                        "label": check.label,
                        "allowed": check.is_allowed,
                        "rule": rule_name(check.explanation),
                    }
                    for check in outcome.checks
                ],
            }
            for outcome in outcomes
        ],
        "coverage": {
            "percent": round(coverage.percent, 1),
            "rules": {
                place: {
                    "allowed": rule.allowed,
                    "denied": rule.denied,
                    "conditions": {text: sorted(seen) for text, seen in rule.conditions.items()},
                }
                for place, rule in coverage.rules.items()
            },
        },
    }


def _json(expected: str | frozenset[str]) -> Any:
    return expected if isinstance(expected, str) else sorted(expected)
