"""What holds in every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from support.described import misfits
from trice.query import plan

pytest_plugins = ("support.coroutines",)

SHARE_A_WORKER = (
    "bench/test_hostile.py",
    "bench/test_quick.py",
    "cel/test_public_cases.py",
    "query/test_grown.py",
    "tests/test_compiled.py",
    "tests/test_seams.py",
    "tests/test_tidy.py",
)
"""Files whose tests share what takes long to make, or must not run beside each other. Marks of
pytest-xdist do not reach its scheduler with this pytest."""


class Scheduling(LoadScopeScheduling):
    """Hands each test to the next free worker, and each of those files to one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if path.endswith(SHARE_A_WORKER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Asked by pytest-xdist, once."""
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def every_frame_is_described() -> Iterator[None]:
    """No test client may have been sent what the description of the wire does not say (P200)."""
    misfits.clear()
    yield
    assert misfits == []


@pytest.fixture(autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """Commands that run in the process of the tests set logging up for themselves."""
    root, ours = logging.getLogger(), logging.getLogger("trice")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what a compiled server cannot show (`make compiled`)."""
    if str(plan.__file__).endswith(".py"):
        return
    for item in items:
        mark = item.get_closest_marker("interpreted")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"compiled: {mark.args[0]}"))
