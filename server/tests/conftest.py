"""What all tests share: those that watch how Python runs are left out of the compiled server's."""

from __future__ import annotations

import pytest

from trice.query import plan


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what a compiled server cannot show (`make compiled`)."""
    if str(plan.__file__).endswith(".py"):
        return
    for item in items:
        mark = item.get_closest_marker("interpreted")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"compiled: {mark.args[0]}"))
