"""Equal documents keep their bytes; to tell so is no work of the loop when they are large."""

from __future__ import annotations

from types import SimpleNamespace

import orjson
import pytest

from trice import limits
from trice.catalog.values import dump_document
from trice.store.engine import WorkTooLong
from trice.transact import draft
from trice.transact.draft import is_equal_cell

LOOP = SimpleNamespace(may_take_long=False)
THREAD = SimpleNamespace(may_take_long=True)


@pytest.mark.rule("T114")
@pytest.mark.parametrize(
    ("left", "right", "is_equal"),
    [
        ([1], [1.0], True),
        ([1, [2, {"a": 3}]], [1.0, [2.0, {"a": 3.0}]], True),
        ([10**16], [1e16], True),
        ([0], [-0.0], True),
        ([100.0, "1"], [100, "1"], True),
        ([1], [1, 2], False),
        ([1], [True], False),
        ([1.5], [1], False),
        ([12], [1], False),
        (["1"], ["1.0"], False),
        (["a1"], ["a1.0"], False),
        ([[]], [[], []], False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        ([None], [0], False),
    ],
)
def test_documents_are_equal_if_their_values_are(left, right, is_equal):
    for one, other in ((left, right), (right, left)):
        assert is_equal_cell(dump_document(one), dump_document(other), THREAD) is is_equal


@pytest.mark.interpreted("a function it calls is replaced")
@pytest.mark.rule("T114")
def test_documents_that_differ_elsewhere_are_not_taken_apart(monkeypatch):
    def loads(_):
        raise AssertionError("taken apart")

    monkeypatch.setattr(draft, "orjson", SimpleNamespace(loads=loads))
    large = [[]] * 100_000
    for other in ([[]] * 99_999, [*large, []], [*large[:-1], ["a"]], ["a", *large]):
        assert not is_equal_cell(dump_document(large), dump_document(other), LOOP)
    assert is_equal_cell(dump_document(large), dump_document(large), LOOP)


@pytest.mark.rule("T113")
def test_large_ones_are_left_to_the_thread():
    numbers = list(range(limits.MESSAGE_BYTES_ON_LOOP))
    left, right = orjson.dumps(numbers), orjson.dumps([*numbers[:-1], float(numbers[-1])])
    with pytest.raises(WorkTooLong):
        is_equal_cell(left, right, LOOP)
    assert is_equal_cell(left, right, THREAD)
