"""Log lines: whose are heard."""

from __future__ import annotations

import logging

import pytest

from trice import log
from trice.session import picows_socket


@pytest.fixture
def logging_restored():
    root, own = logging.getLogger(), logging.getLogger("trice")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.mark.rule("CLI10")
@pytest.mark.parametrize("level", ["debug", "info"])
def test_sockets_of_the_library_are_no_news(logging_restored, level):
    log.set_up(level)
    library = picows_socket._logger.getChild("7")
    assert not library.isEnabledFor(logging.INFO)
    assert library.isEnabledFor(logging.WARNING)
    assert logging.getLogger("trice.session").isEnabledFor(logging.INFO)
