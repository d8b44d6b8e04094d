"""`bench/run`: every workload against trice and the floor, one table, one JSON file.

Numbers are ratios between servers of one run, on one machine; see bench/README.md.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import uvloop

import rules
import workloads
from process import ServerProcess, install_floor
from workloads import Row

BASELINE = Path(__file__).parent / "baseline.json"
START_ROUNDS = 3
IDLE_S = 0.5

Workload = Callable[[ServerProcess], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class Group:
    """Workloads chosen by one word on the command line."""

    name: str
    workloads: tuple[Workload, ...]
    servers: tuple[str, ...] = ("trice", "floor")


def groups(arguments: argparse.Namespace) -> list[Group]:
    """What to run, in order."""
    filters = [200, 2_000, 10_000] if arguments.full else [200]
    sizes = [1_000, 100_000, 1_000_000] if arguments.million else [1_000, 100_000]
    return [
        Group(
            "writes",
            (
                lambda s: workloads.writes(s, 1),
                lambda s: workloads.writes(s, 10),
                lambda s: workloads.writes(s, 50),
                lambda s: workloads.writes(s, 1, workloads.PIPELINE_DEPTH),
            ),
        ),
        Group(
            "fan-out",
            (lambda s: workloads.fan_out(s, 100), lambda s: workloads.fan_out(s, 500)),
        ),
        Group(
            "own-filter",
            tuple(partial(workloads.own_filter, clients=n) for n in filters),
        ),
        Group(
            "reads",
            tuple(partial(workloads.first_answer, rows=n) for n in (20, 1_000, 10_000)),
        ),
        Group("growth", (lambda s: workloads.growth(s, sizes),), ("trice",)),
        Group("rules", (rules.reads, rules.writes), ("trice",)),
    ]


def idle(name: str) -> list[Row]:
    """Memory with one app and nobody connected, and the time to start."""
    memory = Row("idle_mb", "idle memory", "MB")
    start = Row("start_ms", "start, spawn to first answer", "ms")
    for _ in range(START_ROUNDS):
        server = ServerProcess.start(name)
        server.create_app()
        time.sleep(IDLE_S)
        memory.samples.append(server.rss_mb())
        start.samples.append(server.start_ms)
        server.stop()
    return [memory, start]


async def measure(names: list[str], chosen: list[Group]) -> dict[str, list[Row]]:
    """Every chosen workload, an app of its own for each. Servers take turns workload by workload,
    so that a ratio compares the same minute of the machine."""
    servers = {name: ServerProcess.start(name) for name in names}
    rows: dict[str, list[Row]] = {name: [] for name in names}
    try:
        for group in chosen:
            for workload in group.workloads:
                for name in names:
                    if name in group.servers:
                        sys.stderr.write(f"{group.name}: {name}\n")
                        rows[name] += await _undisturbed(workload, servers[name])
    finally:
        for server in servers.values():
            server.stop()
    return rows


async def _undisturbed(workload: Workload, server: ServerProcess) -> list[Row]:
    """Run with this process's collector off: its pauses would count as the server's latency."""
    gc.collect()
    gc.disable()
    try:
        return await workload(server)
    finally:
        gc.enable()


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def summary(row: Row) -> dict[str, Any]:
    """What is recorded of a row."""
    facts = {
        "label": row.label,
        "unit": row.unit,
        "median": statistics.median(row.samples),
        "min": min(row.samples),
        "max": max(row.samples),
        "samples": len(row.samples),
    }
    if row.client_share:
        facts["client_share"] = statistics.median(row.client_share)
    return facts


def cell(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return "–"
    spread = f"{number(facts['min'])}–{number(facts['max'])}"
    return f"{number(facts['median'])} ({spread})"


def print_table(results: dict[str, dict[str, dict[str, Any]]], baseline: dict[str, Any]) -> None:
    """The one table: medians with their spread, the ratio, the last recorded median."""
    keys = {key: facts for rows in results.values() for key, facts in rows.items()}
    lines = [
        "| work | unit | trice | floor | trice / floor | recorded | client's CPU share |",
        "|---|---|---|---|---|---|---|",
    ]
    recorded = baseline.get("results", {}).get("trice", {})
    for key, facts in keys.items():
        ours = results.get("trice", {}).get(key)
        floor = results.get("floor", {}).get(key)
        ratio = f"{ours['median'] / floor['median']:.2f}" if ours and floor else "–"
        before = number(recorded[key]["median"]) if key in recorded else "–"
        share = (ours or facts).get("client_share")
        lines.append(
            f"| {facts['label']} | {facts['unit']} | {cell(ours)} | {cell(floor)} | {ratio} "
            f"| {before} | {f'{share:.0%}' if share is not None else '–'} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


def machine() -> str:
    """One line that says what the numbers were measured on."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f} at start"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    names = ["idle", "writes", "fan-out", "own-filter", "reads", "growth", "rules"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="GROUP")
    parser.add_argument(
        "--servers", nargs="+", choices=["trice", "floor"], default=["trice", "floor"]
    )
    parser.add_argument("--full", action="store_true", help="2,000 and 10,000 own filters too")
    parser.add_argument("--million", action="store_true", help="grow to 1,000,000 rows (minutes)")
    parser.add_argument("--record", action="store_true", help="write bench/baseline.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    line = machine()
    sys.stdout.write(f"{line}\n{' '.join(['bench/run', *sys.argv[1:]])}\n\n")
    servers = list(arguments.servers)
    if "floor" in servers and (reason := install_floor()):
        sys.stderr.write(f"without the floor: {reason}\n")
        servers.remove("floor")
    chosen = [group for group in groups(arguments) if group.name in arguments.only]
    rows = {name: idle(name) if "idle" in arguments.only else [] for name in servers}
    if chosen:
        for name, measured in uvloop.run(measure(servers, chosen)).items():
            rows[name] += measured
    results = {name: {row.key: summary(row) for row in found} for name, found in rows.items()}
    baseline = orjson.loads(BASELINE.read_bytes()) if BASELINE.exists() else {}
    print_table(results, baseline)
    if arguments.record:
        document = {"machine": line, "command": " ".join(sys.argv[1:]), "results": results}
        BASELINE.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
