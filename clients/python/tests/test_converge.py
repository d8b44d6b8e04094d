"""Python clients, TypeScript ones and the official ones on one app of a server that is killed.

`make converge` plays many seeds (CONVERGE, CONVERGE_SEED); a failure names the seed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from converging import NODE, play, summary
from mortal_server import Mortal, mortal
from trice_client import _retry
from trice_client._live import backoff

ROOT = Path(__file__).parents[3]
SEEDS = int(os.environ.get("TRICE_CONVERGE_SEEDS", "2"))
FIRST = int(os.environ.get("TRICE_CONVERGE_SEED", "1"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    with mortal(tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who fails again and again waits up to half a minute; here half a second."""
    monkeypatch.setattr(backoff, "_WAIT_S_MAX", 0.5)
    monkeypatch.setattr(_retry, "_WAIT_S_MAX", 0.5)


@pytest.mark.skipif(
    NODE is None or not (ROOT / "node_modules/@instantdb/core").exists(),
    reason="needs Node and `npm ci`",
)
@pytest.mark.rule("PY100", "PY101")
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_all_clients_end_with_what_the_server_has(server: Mortal, seed: int) -> None:
    history = asyncio.run(play(server, seed))
    told = summary(history)
    sys.stdout.write(f"{told}\n")
    assert "kill server" in history.events
    assert sum(each["status"] == "acked" for each in history.outcomes) > len(history.outcomes) / 2
