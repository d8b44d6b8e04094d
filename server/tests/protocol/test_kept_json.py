"""Texts that stay in memory."""

from __future__ import annotations

import sys
import tracemalloc

import orjson
import pytest

from trice.protocol.compact_json import compact, dumps_compact

TEXTS = 500
VALUE = {"todos": {"$": {"where": {"title": "some forty bytes of text, give or take"}}}}


@pytest.mark.rule("L81")
def test_kept_json_takes_the_memory_of_its_text():
    tracemalloc.start()
    try:
        before_bytes, _ = tracemalloc.get_traced_memory()
        kept = [dumps_compact(VALUE) for _ in range(TEXTS)]
        after_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    texts_bytes = sum(map(sys.getsizeof, kept)) + sys.getsizeof(kept)
    assert after_bytes - before_bytes < texts_bytes + 1_000


@pytest.mark.rule("L81")
@pytest.mark.parametrize("option", [None, orjson.OPT_SORT_KEYS])
def test_the_text_is_that_of_orjson(option):
    value = {"b": [1, None, "ü"], "a": {}}
    assert dumps_compact(value, option=option) == orjson.dumps(value, option=option)
    for size_bytes in (0, 1, 100_000):
        assert compact(b"x" * size_bytes) == b"x" * size_bytes
