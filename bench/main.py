"""`bench/run`: every workload against trice, the floor and any peer; one table, one record.

Numbers are ratios between servers of one run, on one machine; see bench/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import resource
import socket
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import orjson
import uvloop

import backups
import beside_broadcast
import files
import function_calls
import function_neighbours
import function_watchers
import function_workers
import growth
import hooks
import memory
import neighbour
import python_clients
import reconnect
import report
import rooms
import rules
import schema_jobs
import sdk_clients
import streams
import workloads
from connection import Connection
from floor import nginx
from peers import Spec, parse_servers
from process import (
    BENCH,
    Command,
    ServerProcess,
    floor_command,
    functions_command,
    install_floor,
    nginx_command,
    trice_command,
)
from scale import QUICK, WHOLE, Scale
from workloads import Cost, Row

START_ROUNDS = 3
HTTP_TIMEOUT_S = 20
NAMES = [
    "idle",
    "writes",
    "fan-out",
    "beside",
    "own-filter",
    "reads",
    "growth",
    "reconnect",
    "memory",
    "rooms",
    "streams",
    "files",
    "beside-upload",
    "neighbour",
    "rules",
    "backup",
    "webhooks",
    "schema-jobs",
    "functions",
    "sdk",
    "pyclient",
]

Workload = Callable[[ServerProcess], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class Group:
    """Workloads chosen by one word on the command line.

    without   servers that cannot do them
    is_ours   needs the data directory of a trice that the bench started
    is_fresh  each workload gets a new server (a peer is used as it is)
    ours      the command of trice, if it is not the usual one
    floor     the command of the floor, if it is not the usual one
    limit_s   time limit of each workload, if it is not the usual one
    """

    name: str
    workloads: Sequence[Workload]
    without: tuple[str, ...] = field(default=(), kw_only=True)
    is_ours: bool = field(default=False, kw_only=True)
    is_fresh: bool = field(default=False, kw_only=True)
    ours: Command = field(default=trice_command, kw_only=True)
    floor: Command = field(default=floor_command, kw_only=True)
    limit_s: float | None = field(default=None, kw_only=True)

    def command(self, server: str) -> Command:
        """How one of `trice` and `floor` is started for it."""
        return self.floor if server == "floor" else self.ours


FUNCTIONS = (function_calls, function_watchers, function_workers, function_neighbours)


def groups(scale: Scale, deadline: float) -> list[Group]:
    """The groups to run after `idle`, in order, until `deadline` (of time.perf_counter)."""
    w, s = workloads, scale
    return [
        Group(
            "writes", [partial(w.writes, scale=s, clients=n, depth=d) for n, d in s.write_clients]
        ),
        Group(
            "fan-out",
            [
                *(partial(w.fan_out, scale=s, subscribers=n) for n in s.fan_out_subscribers),
                partial(w.fan_out, scale=s, subscribers=s.deflated_subscribers, is_deflated=True),
            ],
        ),
        Group("beside", [partial(beside_broadcast.beside_broadcast, scale=s)]),
        Group(
            "own-filter",
            [
                partial(w.own_filter, scale=s, clients=n, is_creating=is_creating)
                for n in s.own_filter_clients
                for is_creating in (False, True)
            ],
        ),
        Group("reads", [partial(w.first_answer, scale=s, rows=n) for n in s.first_answer_rows]),
        Group("reconnect", [partial(reconnect.storm, scale=s, is_shared=b) for b in (True, False)]),
        Group("memory", [partial(work, scale=s) for work in memory.ALL], is_fresh=s is WHOLE),
        Group("rooms", [partial(work, scale=s) for work in rooms.ALL]),
        Group("streams", [partial(work, scale=s) for work in streams.ALL]),
        Group("files", [partial(work, scale=s) for work in files.ALL], floor=nginx_command),
        Group("beside-upload", [partial(files.beside_upload, scale=s)], without=("floor",)),
        Group("neighbour", [partial(neighbour.noisy_neighbour, scale=s)], without=("floor",)),
        Group(
            "growth",
            [partial(growth.growth, scale=s, deadline=deadline)],
            limit_s=s.growth_limit_s + s.rest_limit_s,
        ),
        Group(
            "rules",
            [partial(rules.reads, scale=s), partial(rules.writes, scale=s)],
            without=("floor",),
        ),
        Group(
            "backup",
            [partial(work, scale=s) for work in backups.ALL],
            is_ours=True,
            limit_s=2 * s.workload_limit_s,
        ),
        Group("webhooks", [partial(work, scale=s) for work in hooks.ALL], is_ours=True),
        Group(
            "schema-jobs",
            [partial(schema_jobs.beside_job, scale=s)],
            without=("floor",),
            limit_s=s.job_limit_s,
        ),
        Group(
            "functions",
            [partial(work, scale=s) for module in FUNCTIONS for work in module.ALL],
            is_ours=True,
            ours=functions_command,
            limit_s=2 * s.workload_limit_s,
        ),
        Group("sdk", sdk_clients.works(s), without=("floor",), limit_s=s.sdk_limit_s),
        Group("pyclient", python_clients.works(s), without=("floor",), limit_s=s.pyclient_limit_s),
    ]


@dataclass(slots=True)
class Run:
    """The results of one run so far, for each server.

    results   rows as they are recorded
    usage     group → {"cpu_s", "rss_mb"} of the server
    failures  which rows have no figures, and why; one line each
    """

    scale: Scale
    deadline: float
    results: report.Results = field(default_factory=dict)
    usage: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def keep(self, server: str, group: str, rows: list[Row]) -> None:
        for row in rows:
            found = self.results.setdefault(row.column or server, {})
            if (facts := report.summary(row, group)) is not None:
                found[row.key] = facts

    def note_usage(self, server: ServerProcess, group: str, cpu_s: float) -> None:
        spent = self.usage.setdefault(server.name, {}).setdefault(group, {"cpu_s": 0.0})
        spent["cpu_s"] += cpu_s
        spent["rss_mb"] = server.rss_mb()


def idle(run: Run, spec: Spec) -> None:
    """Memory with one app and no connection, and the time to start. For a peer, which runs already,
    only its memory."""
    memory_row = Row("idle_mb", "idle memory", "MB")
    start = Row("start_ms", "start, spawn to first answer", "ms")
    for _ in range(START_ROUNDS if run.scale is WHOLE else 1):
        server = spec.open(floor_command if spec.name == "floor" else trice_command)
        try:
            server.create_app()
            time.sleep(run.scale.idle_s)
            memory_row.samples.append(server.rss_mb())
            start.samples.append(server.start_ms)
        finally:
            server.stop()
    run.keep(spec.name, "idle", [memory_row, start])


async def measure(run: Run, specs: list[Spec], chosen: list[Group]) -> None:
    """Run every chosen workload, each with an app of its own. Servers take turns after each
    workload, so that a ratio compares the same minute of the machine."""
    standing: dict[tuple[str, Command], ServerProcess] = {}
    try:
        for group in chosen:
            for workload in group.workloads:
                for spec in specs:
                    if spec.name in group.without or (group.is_ours and spec.name != "trice"):
                        continue
                    command = group.command(spec.name)
                    if group.is_fresh:
                        server = spec.open(command)
                        try:
                            await one(run, group, workload, server)
                        finally:
                            server.stop()
                    else:
                        key = (spec.name, command)
                        if key not in standing:
                            standing[key] = spec.open(command)
                        await one(run, group, workload, standing[key])
    finally:
        for server in standing.values():
            server.stop()


async def one(run: Run, group: Group, workload: Workload, server: ServerProcess) -> None:
    """Run one workload on one server, within its time. A failure is reported and ends no other
    workload, and nothing is left behind. The collector of this process is off meanwhile: its pauses
    would count as the server's latency."""
    name = f"{group.name} on {server.name}"
    left_s = run.deadline - time.perf_counter()
    if left_s <= 0:
        run.failures.append(f"{name}: not begun, the run has had its time")
        return
    if not server.is_running():
        run.failures.append(f"{name}: the server is no longer running")
        return
    sys.stderr.write(f"{name}\n")
    cost = Cost(server)
    gc.collect()
    gc.disable()
    try:
        async with asyncio.timeout(min(group.limit_s or run.scale.workload_limit_s, left_s)):
            run.keep(server.name, group.name, await workload(server))
    except Exception as error:
        traceback.print_exc()
        run.failures.append(f"{name}: {type(error).__name__}: {error}")
    finally:
        gc.enable()
        for connection in list(Connection.living):
            connection.close()
    if server.is_running():
        await workloads.rest(server, run.scale)
        run.note_usage(server, group.name, cost.server_s())


def machine() -> str:
    """One line that describes the machine of the measurement."""
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


def parse_arguments() -> tuple[argparse.Namespace, list[Spec]]:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="GROUP")
    parser.add_argument(
        "--servers",
        nargs="+",
        default=["trice,floor"],
        metavar="SERVER",
        help="trice, floor, and peers as NAME=URL[#PID+PID…], by commas or spaces",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument(
        "--record",
        nargs="?",
        type=Path,
        const=BENCH,
        metavar="FOLDER",
        help="write baseline.json, growth.svg and the table of README.md, in bench/ or FOLDER",
    )
    arguments = parser.parse_args()
    if arguments.quick and arguments.record == BENCH:
        parser.error("--quick figures mean nothing: --record them to another FOLDER")
    if arguments.record:
        arguments.record.mkdir(parents=True, exist_ok=True)
    try:
        return arguments, parse_servers(arguments.servers)
    except ValueError as error:
        parser.error(str(error))


def main() -> None:
    arguments, specs = parse_arguments()
    scale = QUICK if arguments.quick else WHOLE
    limit_s = scale.server_limit_s * max(len(specs), 2)
    run = Run(scale, time.perf_counter() + limit_s)
    line, command = machine(), " ".join(["bench/run", *sys.argv[1:]])
    sys.stdout.write(f"{line}\n{command}\n\n")
    socket.setdefaulttimeout(HTTP_TIMEOUT_S)
    # For 10,000 sockets at each end; many systems give 1,024 and allow more. Servers inherit it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if any(spec.name == "floor" for spec in specs) and (reason := install_floor()):
        sys.stderr.write(f"without the floor: {reason}\n")
        specs = [spec for spec in specs if spec.name != "floor"]
    if "idle" in arguments.only:
        for spec in specs:
            idle(run, spec)
    chosen = [group for group in groups(scale, run.deadline) if group.name in arguments.only]
    has_files = any(group.floor is nginx_command for group in chosen)
    if has_files and any(s.name == "floor" for s in specs) and (reason := nginx.install()):
        sys.stderr.write(f"files without the floor: {reason}\n")
        chosen = [
            replace(group, without=("floor",)) if group.floor is nginx_command else group
            for group in chosen
        ]
    for name, clients in (("sdk", sdk_clients), ("pyclient", python_clients)):
        if any(group.name == name for group in chosen) and (reason := clients.install()):
            sys.stderr.write(f"without {name}: {reason}\n")
            chosen = [group for group in chosen if group.name != name]
    if chosen:
        uvloop.run(measure(run, specs, chosen))
    recorded = BENCH / "baseline.json"
    baseline = orjson.loads(recorded.read_bytes()) if recorded.exists() else {}
    known = baseline.get("results", {}).get("trice", {})
    sys.stdout.write(f"{report.table(run.results, known)}\n{report.usage_table(run.usage)}")
    if arguments.record:
        facts = {"machine": line, "command": command}
        report.record(arguments.record, run.results, run.usage, facts)
    for failure in run.failures:
        sys.stderr.write(f"no figures: {failure}\n")
    sys.exit(1 if run.failures else 0)


if __name__ == "__main__":
    main()
