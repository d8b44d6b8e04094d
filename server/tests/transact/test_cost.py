"""Which transactions leave the event loop."""

from __future__ import annotations

from typing import Any

import pytest

from trice.transact.cost import is_long

ATTR = {"id": "a", "forward-identity": ["i", "todos", "title"], "isUnsynced": True}


@pytest.mark.rule("T101")
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], False),
        ([["add-triple", "e", "a", 1]] * 10, False),
        ([["add-triple", "e", "a", 1]] * 11, True),
        ([["add-attr", ATTR]], False),
        ([["add-attr", {**ATTR, "unique?": True}]], False),
        ([["add-attr", {"id": "a", "index?": True}]], True),
        ([["update-attr", {"id": "a", "forward-identity": ["i", "todos", "name"]}]], False),
        ([["update-attr", {"id": "a", "index?": False}]], True),
        ([["update-attr", {"id": "a", "checked-data-type": "date"}]], True),
        ([["delete-attr", "a"]], True),
        ([["restore-attr", "a"]], True),
        (None, False),
        ("steps", False),
        ([None, 5, [], {}, "add-attr", ["update-attr"], ["update-attr", 5]], False),
    ],
)
def test_many_steps_and_steps_that_rebuild_are_long(steps: Any, expected: bool) -> None:
    assert is_long(steps, steps_max=10) is expected
