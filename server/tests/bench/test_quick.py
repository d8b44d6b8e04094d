"""Runs the benchmark with tiny sizes: every workload still gives numbers, how large is not asked.

One run measures trice twice, started by the bench and as a peer that runs already; the floor is
measured where its packages are installed (`make bench` does that).
"""

from __future__ import annotations

import asyncio
import importlib
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from support.patience import SUITE_WAIT_S

BENCH = Path(__file__).resolve().parents[3] / "bench"
PID_NOBODY_HAS = 2**22 + 1
"""Above the most that pid_max can be (proc(5))."""
READY = re.compile(r"is ready at (http://\S+)")
FLOOR = BENCH / "floor/node_modules/better-sqlite3/build/Release/better_sqlite3.node"
MARKERS = "<!-- results: bench/run --record writes this -->\nold\n<!-- end of the results -->"

GROUPS = {
    "idle": {"idle_mb", "start_ms"},
    "writes": {"writes_1x1", "writes_3x1", "writes_1x4", "writes_1x4_cpu"},
    "fan-out": {
        *("fan_out_2_p50", "fan_out_5_p50", "fan_out_5_p99", "fan_out_5_cpu", "fan_out_5_bytes"),
        *("fan_out_5_deflated_p50", "fan_out_5_deflated_cpu", "fan_out_5_deflated_bytes"),
    },
    "rooms": {
        *("room_one_p50", "room_one_p99", "room_one_cpu", "room_idle"),
        *("room_many_p50", "room_many_p99", "room_many_cpu"),
    },
    "streams": {
        *("streams_rate", "streams_flush_p50", "streams_flush_p99", "streams_cpu"),
        *("followers_p50", "followers_p99", "followers_cpu"),
        *("sleeper_memory", "sleeper_reading", "sleeper_caught_up"),
        *("replay_write", "replay_warm", "replay_peak"),
    },
    "files": {
        *("file_upload", "file_upload_cpu", "file_upload_peak"),
        *("file_warm", "file_range", "file_read_cpu", "file_read_peak"),
        *("small_upload", "small_upload_p99", "small_upload_cpu", "small_read", "small_read_cpu"),
    },
    "neighbour": {
        f"neighbour_{what}_{when}_p{share}"
        for what in ("ack", "news", "query")
        for when in ("alone", "elsewhere", "beside")
        for share in (50, 99)
    },
    "beside-upload": {
        *("beside_upload_p50", "beside_upload_p99", "upload_alone_p50", "upload_alone_p99"),
    },
    "beside": {"beside_ack_p50", "beside_ack_p99", "beside_news_p50", "beside_alone_p50"},
    "own-filter": {
        *("own_filter_3_p50", "own_filter_3_cpu", "own_filter_3_idle"),
        *("own_rows_3_p50", "own_rows_3_cpu", "own_rows_3_idle"),
    },
    "reads": {"first_answer_20"},
    "reconnect": {
        *("reconnect_4_shared_p50", "reconnect_4_shared_last", "reconnect_4_shared_cpu"),
        *("reconnect_4_own_p50", "reconnect_4_own_last", "reconnect_4_own_cpu"),
    },
    "memory": {
        *("memory_socket", "memory_shared", "memory_own", "memory_left"),
        *("memory_broadcast_peak", "memory_broadcast_after"),
        *("stalled_memory", "stalled_sent", "stalled_catch_up"),
    },
    "growth": {
        *("page_10", "page_100", "write_10_beside_2", "write_10_beside_20"),
        *("write_100_beside_2", "write_100_beside_20", "write_100_beside_20_cpu"),
    },
    "rules": {
        *("rules_read_open", "rules_read_compiled", "rules_read_judged"),
        *("rules_read_reference", "rules_read_field"),
        *("rules_write_open", "rules_write_open_cpu"),
        *("rules_write_owner", "rules_write_owner_cpu"),
    },
    "backup": {
        *("backup_alone_p50", "backup_alone_p99", "backup_beside_p50", "backup_beside_p99"),
        *("backup_rate", "backup_restore", "app_backup_beside_p50", "app_backup_beside_p99"),
        *("app_backup_rate", "app_backup_download"),
    },
    "webhooks": {
        *("hooks_rate", "hooks_none_p50", "hooks_none_p99", "hooks_quick_p50", "hooks_quick_p99"),
        *("hooks_slow_p50", "hooks_slow_p99"),
    },
    "schema-jobs": {
        "job_s",
        *(f"job_{when}_{part}" for when in ("alone", "beside") for part in ("p50", "p99", "max")),
    },
    "functions": {
        *("functions_one_p50", "functions_many", "functions_many_cpu"),
        *("functions_many_workers", "functions_counter", "functions_increment"),
        *(f"functions_{when}_p{share}" for when in ("alone", "beside") for share in (50, 99)),
        *("functions_cached_p50", "functions_crowd_p50", "functions_crowd_p99"),
        *("functions_crowd_cpu", "functions_unconcerned", "functions_unconcerned_runs"),
        "functions_changed_row",
        *("functions_start", "functions_spare", "functions_memory", "functions_first"),
        *("functions_job", "functions_job_seen", "functions_hostile_alone"),
        *(
            f"functions_hostile_{function}_{where}"
            for function in ("spin", "hog", "fork", "shout", "large")
            for where in ("beside", "elsewhere")
        ),
    },
    "sdk": {
        *("sdk_refresh_frame_5_3", "sdk_refresh_delivery_10_3", "sdk_refresh_first_frame_10_3"),
        *("sdk_write_optimistic_10_3", "sdk_queries_frame_4_3"),
        *("sdk_bytes_update_5_3", "sdk_bytes_busy_5_3", "sdk_bytes_reconnect_5_3"),
        *("sdk_memory_heap_10_1", "sdk_memory_heap_5_3", "sdk_crowd_delivery_4_3"),
    },
    "pyclient": {
        *("pyclient_start_import_5", "pyclient_start_first_5", "pyclient_start_resident_5"),
        *("pyclient_query_rate_10", "pyclient_query_cpu_5", "pyclient_query_cpu_10"),
        *("pyclient_writes_one_rate_5", "pyclient_writes_one_cpu_5"),
        *("pyclient_writes_many_rate_5", "pyclient_writes_many_cpu_5"),
        *("pyclient_live_change_cpu_5", "pyclient_live_frame_5"),
        *("pyclient_many_memory_5", "pyclient_many_commit_cpu_5"),
    },
}
"""Group → rows that a quick run has."""

OURS = {"backup", "webhooks", "functions"}
"""Groups that need a trice that the bench started: its data directory, its functions."""

WITHOUT_FLOOR = {"rules", "beside-upload", "neighbour", "schema-jobs", "sdk", "pyclient", *OURS}
"""Groups that the floor cannot do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a quick run left: its baseline.json, its chart, its README.md, what it printed."""

    document: dict[str, Any]
    chart: str
    readme: str
    printed: str


def run_quick(folder: Path, servers: str) -> Outcome:
    (folder / "README.md").write_text(f"before\n{MARKERS}\nafter\n", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, BENCH / "main.py", "--quick", "--servers", servers, "--record", folder],
        capture_output=True,
        text=True,
        timeout=SUITE_WAIT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-8_000:]
    return Outcome(
        orjson.loads((folder / "baseline.json").read_bytes()),
        (folder / "growth.svg").read_text(encoding="utf-8"),
        (folder / "README.md").read_text(encoding="utf-8"),
        result.stdout,
    )


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    """The address of a server that the bench did not start."""
    with tempfile.TemporaryDirectory() as data:
        options = ["--host", "127.0.0.1", "--port", "0", "--data-dir", data]
        child = subprocess.Popen(
            [sys.executable, "-m", "trice", "serve", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None
        try:
            found = next(filter(None, map(READY.search, child.stdout)))
            yield found.group(1)
        finally:
            child.terminate()
            child.wait()
            child.stdout.close()


@pytest.fixture(scope="module")
def outcome(peer: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_quick(tmp_path_factory.mktemp("bench"), f"trice,peer={peer}")


def expect_numbers(outcome: Outcome, server: str, group: str, keys: set[str]) -> None:
    """Every one of `keys`, measured at least once, each figure a finite number."""
    rows = outcome.document["results"][server]
    found = {key for key, facts in rows.items() if facts["group"] == group}
    assert keys <= found, f"{server} has no {sorted(keys - found)}"
    for key in found:
        facts = rows[key]
        assert facts["samples"] >= 1, key
        assert all(math.isfinite(facts[name]) for name in ("median", "min", "max")), key
        assert facts["label"] in outcome.printed, key


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_workload_gives_numbers(outcome: Outcome, group: str) -> None:
    expect_numbers(outcome, "trice", group, GROUPS[group])


@pytest.mark.parametrize("group", sorted(GROUPS.keys() - OURS))
def test_a_peer_by_address_is_measured_too(outcome: Outcome, group: str) -> None:
    expect_numbers(outcome, "peer", group, GROUPS[group] - {"start_ms"})


@pytest.mark.parametrize("server", ["trice", "peer"])
def test_our_python_client_stands_beside_the_official_one(outcome: Outcome, server: str) -> None:
    """But for what the official one has no counterpart of."""
    column = "instantdb" if server == "trice" else f"instantdb on {server}"
    shared = {
        key
        for key in GROUPS["pyclient"]
        if not key.startswith(("pyclient_many", "pyclient_live_frame"))
    }
    expect_numbers(outcome, column, "pyclient", shared)


@pytest.mark.parametrize("server", ["trice", "peer"])
def test_our_client_stands_beside_the_original_on_each_server(
    outcome: Outcome, server: str
) -> None:
    column = "@instantdb/core" if server == "trice" else f"@instantdb/core on {server}"
    expect_numbers(outcome, column, "sdk", GROUPS["sdk"])
    assert f"trice / {column}" in outcome.printed


def test_what_the_servers_used_is_read_from_proc(outcome: Outcome) -> None:
    for server in ("trice", "peer"):
        usage = outcome.document["usage"][server]
        left_out = OURS if server == "peer" else set()
        assert usage.keys() == GROUPS.keys() - {"idle"} - left_out
        assert all(found["cpu_s"] > 0 and found["rss_mb"] > 0 for found in usage.values())


def test_no_group_is_left_unlisted(outcome: Outcome) -> None:
    """A group that is added belongs into GROUPS above."""
    rows = outcome.document["results"]["trice"].values()
    assert {facts["group"] for facts in rows} == outcome.document["runs"].keys() == GROUPS.keys()


def test_growth_is_drawn_for_every_server(outcome: Outcome) -> None:
    """Three panels (a page, a write beside few queries, beside many), a line for each server, a
    point for each size."""
    drawing = ElementTree.fromstring(outcome.chart)
    lines = [element for element in drawing.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 3 * 2
    assert {len(line.attrib["points"].split()) for line in lines} == {2}


def test_the_recorded_table_stands_between_the_markers(outcome: Outcome) -> None:
    before, begin, rest = outcome.readme.partition(MARKERS.splitlines()[0])
    body, end, after = rest.partition(MARKERS.splitlines()[-1])
    assert (before, after) == ("before\n", "\nafter\n")
    assert begin and end and "\nold\n" not in body
    for facts in outcome.document["results"]["trice"].values():
        assert f"| {facts['label']} |" in body


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a file of bench/ by its name, which is forgotten again: the names are plain words."""
    monkeypatch.syspath_prepend(BENCH)
    known = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - known:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCH:
            del sys.modules[name]


def test_recording_a_group_again_keeps_the_others(
    outcome: Outcome, tmp_path: Path, modules: Callable[[str], Any]
) -> None:
    """Of the group all servers' rows go: a ratio is always of one run."""
    (tmp_path / "baseline.json").write_bytes(orjson.dumps(outcome.document))
    again = {"group": "reads", "label": "again", "unit": "ms", "median": 1.0, "min": 1.0}
    again |= {"max": 1.0, "samples": 1}
    results = {"trice": {"first_answer_7": again}}
    modules("report").record(tmp_path, results, {}, {"command": "c", "machine": "m"})
    document = orjson.loads((tmp_path / "baseline.json").read_bytes())
    assert document["results"]["trice"]["first_answer_7"] == again
    for server in ("trice", "peer"):
        assert "first_answer_20" not in document["results"][server]
        assert "page_100" in document["results"][server]


def test_a_peer_is_an_address_and_its_processes(modules: Callable[[str], Any]) -> None:
    peers = modules("peers")
    assert peers.parse_servers(["trice,floor", "peer=http://127.0.0.1:1/#12+34"]) == [
        peers.Spec("trice"),
        peers.Spec("floor"),
        peers.Spec("peer", "http://127.0.0.1:1", (12, 34)),
    ]


@pytest.mark.parametrize(
    "servers",
    ["nobody", "trice,trice", "trice=http://127.0.0.1:1", "peer=https://x", "peer=http://x#abc"],
)
def test_servers_it_cannot_measure_are_refused(modules: Callable[[str], Any], servers: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=|a name of its own|two servers"):
        modules("peers").parse_servers([servers])


async def test_time_that_is_up_is_said_and_the_rest_goes_on(
    modules: Callable[[str], Any],
) -> None:
    """A workload that is late, one that fails, one whose server has gone and one not begun have no
    figures; others have."""
    main, scale, workloads = modules("main"), modules("scale"), modules("workloads")
    server = modules("process").ServerProcess("nowhere", "http://x", (), math.nan, "", None)
    gone = modules("process").ServerProcess("gone", "http://x", (PID_NOBODY_HAS,), 0, "", None)
    row = workloads.Row("key", "label", "ms", [1.0])

    async def late(_: object) -> list[Any]:
        await asyncio.Event().wait()
        return []

    async def failing(_: object) -> list[Any]:
        raise RuntimeError("the reason")

    async def working(_: object) -> list[Any]:
        return [row]

    run = main.Run(scale.QUICK, math.inf)
    await main.one(run, main.Group("late", [late], limit_s=0.01), late, server)
    await main.one(run, main.Group("failing", [failing]), failing, server)
    await main.one(run, main.Group("working", [working]), working, gone)
    await main.one(run, main.Group("working", [working]), working, server)
    run.deadline = 0.0
    await main.one(run, main.Group("later", [working]), working, server)
    assert [failure.split(":")[0] for failure in run.failures] == [
        "late on nowhere",
        "failing on nowhere",
        "working on gone",
        "later on nowhere",
    ]
    assert "the reason" in run.failures[1]
    assert {facts["group"] for facts in run.results["nowhere"].values()} == {"working"}


@pytest.mark.skipif(
    shutil.which("node") is None or not FLOOR.exists(), reason="needs Node and one `make bench`"
)
def test_the_floor_gives_the_same_rows(tmp_path: Path) -> None:
    outcome = run_quick(tmp_path, "floor")
    for group in GROUPS.keys() - WITHOUT_FLOOR:
        expect_numbers(outcome, "floor", group, GROUPS[group])
