"""What holds in every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.described import misfits
from trice.query import plan

pytest_plugins = ("support.coroutines",)


@pytest.fixture(autouse=True)
def every_frame_is_described() -> Iterator[None]:
    """No test client may have been sent what the description of the wire does not say (P200)."""
    misfits.clear()
    yield
    assert misfits == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what a compiled server cannot show (`make compiled`)."""
    if str(plan.__file__).endswith(".py"):
        return
    for item in items:
        mark = item.get_closest_marker("interpreted")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"compiled: {mark.args[0]}"))
