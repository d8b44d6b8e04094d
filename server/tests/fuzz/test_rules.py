"""Random rules on random notes: what SQL shows is what the judge allows, entity by entity.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.attrs import entity
from support.notes import GUEST, Notes, user
from support.rule_expressions import NOTES, PARAMS, Grammar, fill
from support.seeds import seeds
from trice.errors import InvalidInput, PermissionDenied
from trice.identity import Identity
from trice.protocol.ids import EntityId
from trice.query.ast import NOTHING, is_judged
from trice.rules.document import Rules
from trice.rules.judge import Judge

RULES_PER_SEED = 60


def expected(judge: Judge, rules: Rules) -> list[int] | str:
    """The notes that the judge allows one by one, or that one of them fails."""
    program = rules.find("notes", "view")
    allowed: list[int] = []
    has_failed = False
    for number in NOTES:
        data = judge.entity("notes", EntityId(entity(number)))
        if data is None:
            continue
        try:
            if judge.allows(program, etype="notes", action="view", data=data):
                allowed.append(number)
        except PermissionDenied as error:
            assert error.code == "permission-evaluation-failed"
            has_failed = True
    return "failed" if has_failed else allowed


def actual(
    notes: Notes, rules: Rules, identity: Identity, *, is_apart: bool = False
) -> list[int] | str:
    try:
        (node,) = notes.ask(rules, {"notes": {}}, identity, PARAMS, is_apart=is_apart).nodes
    except PermissionDenied as error:
        assert error.code == "permission-evaluation-failed"
        return "failed"
    return sorted(int.from_bytes(row[0], "big") for row in node.rows)


def document(draw: random.Random) -> Any:
    inner = Grammar(draw)
    bind = {"one": inner.rule(1), "two": f"one != null && {inner.rule(1)}"}
    grammar = Grammar(draw, ("one", "two"))
    return {"notes": {"bind": bind, "allow": {"view": grammar.rule()}}}


@pytest.mark.rule("R70", "Q170")
def test_conditions_agree_with_the_judge(tmp_path: Path) -> None:
    compared = failed = shown = converted = 0
    for seed in seeds(range(8)):
        draw = random.Random(seed)
        notes = Notes(tmp_path / f"{seed}.db")
        notes.all_at_once(partial(fill, notes, draw))
        for _ in range(RULES_PER_SEED):
            rule = document(draw)
            try:
                rules = Rules.parse(rule)
            except InvalidInput:
                continue
            identity = draw.choice((GUEST, user(1), user(2), user(98)))
            wanted = expected(notes.judge(rules, identity, PARAMS), rules)
            found = actual(notes, rules, identity)
            compared += 1
            failed += wanted == "failed"
            shown += 0 < len(wanted) < len(NOTES) and wanted != "failed"
            scope = notes.visibility(rules, identity, PARAMS).entities("notes")
            converted += scope not in ((), NOTHING) and not is_judged(scope)
            story = f"seed {seed}, {identity.name}: {rule}"
            assert found == wanted, story
            assert actual(notes, rules, identity, is_apart=True) == wanted, f"apart; {story}"
        notes.close()
    # Each kind of outcome must occur, or agreement says little.
    assert min(failed, shown, converted) > compared // 20, (compared, failed, shown, converted)
