"""`bench/hostile/run`: attacks a server started for it, and tells what innocent users noticed.

Each attack is played by one stranger against a fresh server, while a witness (a process of its own)
asks /health every 20 ms and writes on two apps, one of which the stranger attacks. Everything stays
on the loopback interface, is bounded in count and time, and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

import answers
import apps
import connections
import process
import receivers
import shared
import stored
from process import ServerProcess
from stage import QUICK, WHOLE, Attack, Force, Stage
from stranger import Stranger

ATTACKS: Final = (
    *answers.ATTACKS,
    *connections.ATTACKS,
    *apps.ATTACKS,
    *stored.ATTACKS,
    *shared.ATTACKS,
    *receivers.ATTACKS,
)
ATTACK_LIMIT_S: Final = 300
SETTLE_S: Final = 2
SERVER_FILES: Final = 1_024
SERVER_MEMORY_BYTES: Final = 6 << 30
SAMPLE_EVERY_S: Final = 0.05
UNKNOWN: Final = (math.nan, math.nan, math.nan)
DEAD: Final = "THE SERVER ENDED"


@dataclass(slots=True)
class Result:
    """What one attack did.

    health_ms     median, 99th percentile and longest time of GET /health during the attack
    ack_ms        99th percentile and longest of an innocent write
    lost          sessions and writes that innocent users lost, answers of /health that failed
    memory_mb     before, at the peak, two seconds after
    descriptors   at the same moments
    took_s        how long the attack lasted
    heard         how often the stranger got each code
    ended         why the server or the attack ended early; empty if neither did
    """

    attack: str
    health_ms: tuple[float, float, float]
    ack_ms: tuple[float, float]
    lost: int
    memory_mb: tuple[float, float, float]
    descriptors: tuple[int, int, int]
    took_s: float
    heard: dict[str, int]
    ended: str


class Peak:
    """The most descriptors seen while it runs."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.descriptors = stage.open_files()

    async def watch(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                self.descriptors = max(self.descriptors, self._stage.open_files())
            await asyncio.sleep(SAMPLE_EVERY_S)


async def play(attack: Attack, force: Force, server: ServerProcess) -> Result:
    """Play one attack on a running server, with a stranger, a witness and apps of its own."""
    stranger = Stranger(server.url)
    quiet, victim = server.create_app(), server.create_app()
    stage = Stage(server.url, server.pids[0], stranger, victim, force)
    witness = await _witness(server.url, quiet, victim)
    try:
        before_mb, before_files = server.rss_mb(), stage.open_files()
        server.forget_peak()
        peak = Peak(stage)
        watching = asyncio.create_task(peak.watch())
        started = time.perf_counter()
        ended = await _ending(attack, stage)
        took_s = time.perf_counter() - started
        await stranger.close()
        await asyncio.sleep(SETTLE_S)
        watching.cancel()
        heard = dict(stranger.heard.codes)
        if not server.is_running():
            memory, files = (before_mb, math.nan, math.nan), (before_files, peak.descriptors, 0)
            return Result(attack.name, UNKNOWN, UNKNOWN[1:], -1, memory, files, took_s, heard, DEAD)
        memory = (before_mb, server.peak_mb(), server.rss_mb())
        files = (before_files, peak.descriptors, stage.open_files())
        seen = await _report_of(witness)
    finally:
        if witness.returncode is None:
            witness.kill()
    health, acks = seen["health_ms"], seen["ack_ms"]
    return Result(
        attack.name,
        (_at(health, 0.5), _at(health, 0.99), _at(health, 1)),
        (_at(acks, 0.99), _at(acks, 1)),
        seen["sessions_lost"] + seen["writes_lost"] + seen["failures"],
        memory,
        files,
        took_s,
        heard,
        ended,
    )


async def _ending(attack: Attack, stage: Stage) -> str:
    """Play the attack; return why it ended early, or an empty text."""
    try:
        async with asyncio.timeout(ATTACK_LIMIT_S):
            await attack.play(stage)
    except TimeoutError:
        return f"not over after {ATTACK_LIMIT_S} s"
    except (RuntimeError, ConnectionError) as failure:
        return f"{type(failure).__name__}: {failure}"
    return ""


def play_all(attacks: Sequence[Attack], force: Force) -> Iterator[Result]:
    """Each attack in turn, on a server of its own."""
    for attack in attacks:
        with limits_of_servers(), settings_of_servers(attack.settings):
            server = ServerProcess.start("trice")
        try:
            yield asyncio.run(play(attack, force, server))
        finally:
            server.stop()


@contextlib.contextmanager
def settings_of_servers(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables of servers that are started inside."""
    if not settings:
        yield
        return
    before = dict(os.environ)
    os.environ.update(settings)
    process.environment.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        process.environment.cache_clear()


@contextlib.contextmanager
def limits_of_servers() -> Iterator[None]:
    """Limits for servers that are started inside: descriptors as most systems give them by
    default, and memory that this machine can spare, so that a server that wants more ends, and not
    the machine. The attacker itself needs more descriptors."""
    kinds = {
        resource.RLIMIT_NOFILE: SERVER_FILES,
        resource.RLIMIT_AS: SERVER_MEMORY_BYTES,
    }
    before = {kind: resource.getrlimit(kind) for kind in kinds}
    for kind, soft in kinds.items():
        resource.setrlimit(kind, (soft, before[kind][1]))
    try:
        yield
    finally:
        for kind, limit in before.items():
            resource.setrlimit(kind, limit)


async def _witness(url: str, *app_ids: str) -> asyncio.subprocess.Process:
    witness = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("witness.py")),
        url,
        *app_ids,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 26,
    )
    assert witness.stdout is not None
    await witness.stdout.readline()
    await asyncio.sleep(1)
    return witness


async def _report_of(witness: asyncio.subprocess.Process) -> dict[str, Any]:
    assert witness.stdin is not None and witness.stdout is not None
    witness.stdin.close()
    async with asyncio.timeout(120):
        seen: dict[str, Any] = orjson.loads(await witness.stdout.readline())
        await witness.wait()
    return seen


def _at(samples: Sequence[float], share: float) -> float:
    if not samples:
        return math.nan
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def line_of(result: Result) -> str:
    heard = ", ".join(f"{count} {code}" for code, count in sorted(result.heard.items()))
    figures = (
        "/".join(f"{value:,.0f}" for value in result.health_ms),
        "/".join(f"{value:,.0f}" for value in result.ack_ms),
        str(result.lost),
        " → ".join(f"{value:,.0f}" for value in result.memory_mb),
        " → ".join(map(str, result.descriptors)),
        f"{result.took_s:.0f}",
    )
    return f"| {result.attack} | {' | '.join(figures)} | {heard} {result.ended} |"


HEADER: Final = (
    "| attack | /health p50/p99/max ms | innocent write p99/max ms | lost "
    "| MB before → peak → after | descriptors | s | what the stranger heard |\n"
    "|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/hostile/run", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="attacks whose names contain one")
    parser.add_argument(
        "--quick", action="store_true", help="little of each: the form in the tests"
    )
    parser.add_argument(
        "--part", metavar="K/N", help="every N-th attack, from the K-th on: 1/2, 2/2"
    )
    parser.add_argument("--json", type=Path, help="write the results there, too")
    arguments = parser.parse_args()
    chosen = [
        attack
        for attack in ATTACKS
        if arguments.only is None or any(text in attack.name for text in arguments.only)
    ]
    if arguments.part is not None:
        first, _, count = arguments.part.partition("/")
        if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
            parser.error(f"--part takes two numbers, as 1/2, not {arguments.part}")
        chosen = chosen[int(first) - 1 :: int(count)]
    if not chosen:
        parser.error("no attack has such a name: " + "; ".join(a.name for a in ATTACKS))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The stranger's sign-in provider is at a private address: this machine's.
    os.environ["TRICE_ALLOW_PRIVATE_HOSTS"] = "1"
    os.environ["TRICE_EPHEMERAL_QUOTAS"] = "1"
    os.environ["TRICE_WEBHOOKS_PRIVATE"] = "0"
    process.environment.cache_clear()
    sys.stdout.write(HEADER + "\n")
    results = []
    force = QUICK if arguments.quick else WHOLE
    for result in play_all(chosen, force):
        results.append(result)
        sys.stdout.write(line_of(result) + "\n")
        sys.stdout.flush()
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps([asdict(result) for result in results]))
    sys.exit(1 if any(result.ended for result in results) else 0)


if __name__ == "__main__":
    main()
