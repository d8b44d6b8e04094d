"""A million rows through the Python client, in and out: `make bulk`.

A server is started on a new data directory. A process of its own imports a file of JSON Lines,
iterates over all rows, and exports them; for each part it prints rows per second and the peak of
its memory. It fails if rows differ, or if the peak of ten times as many rows is higher by more than
`GROWTH_MIB_MAX`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
BATCH_ROWS = 10_000
GROWTH_MIB_MAX = 8.0
"""What the allocator may keep; the rows themselves would be hundreds of MiB."""


@contextmanager
def serving(data_dir: Path) -> Iterator[str]:
    """A server, and its URL."""
    # A throw-away app holds 50,000 rows.
    flags = ("--port", "0", "--no-ephemeral-quotas")
    command = [sys.executable, "-m", "trice", "serve", "--data-dir", data_dir, *flags]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("trice is ready at "), line
            yield line.split()[-1]
        finally:
            process.terminate()


def peak_mib() -> float:
    """The most memory that this process has held."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024 * 1024 if sys.platform == "darwin" else 1024)


def work(url: str, rows: int, folder: Path) -> None:
    """In a process of its own: all parts, for so many rows."""
    from trice_client import Client, Platform

    with Platform(url) as platform:
        schema = {
            "entities": {
                "rows": {
                    "attrs": {
                        "n": {"valueType": "number", "config": {"indexed": True}},
                        "title": {"valueType": "string"},
                    }
                }
            },
            "links": {},
        }
        app = platform.create_temporary_app("bulk", schema=schema)
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for n in range(rows):
            file.write(json.dumps({"n": n, "title": f"Row {n} of many", "done": n % 2 == 0}) + "\n")
    with Client(app["id"], server=url, admin_token=app["admin-token"], timeout_s=120) as db:

        def iterate() -> int:
            count, total = 0, 0
            for row in db.iterate("rows", page_rows=BATCH_ROWS):
                count, total = count + 1, total + int(row["n"])
            assert total == rows * (rows - 1) // 2, "rows differ"
            return count

        told(rows, "import", lambda: db.import_jsonl("rows", source, batch_rows=BATCH_ROWS))
        told(rows, "iterate", iterate)
        told(rows, "export", lambda: db.export_jsonl("rows", out, page_rows=BATCH_ROWS))
    with out.open(encoding="utf-8") as file:
        assert sum(json.loads(line)["n"] for line in file) == rows * (rows - 1) // 2


def told(rows: int, part: str, run: Callable[[], int]) -> None:
    began_s = time.perf_counter()
    count = run()
    took_s = time.perf_counter() - began_s
    assert count == rows, f"{part}: {count:,} rows of {rows:,}"
    click.echo(
        f"{part:<8} {rows:>9,} rows  {rows / took_s:>9,.0f} rows/s  peak {peak_mib():6.1f} MiB"
    )


def run_apart(url: str, rows: int) -> float:
    """The peak of a process that does all parts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--work", url, "--rows", str(rows), "--in", folder]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    click.echo(ran.stdout, nl=False)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return max(float(line.split()[-2]) for line in ran.stdout.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work is not None:
        work(asked.work, asked.rows, asked.folder)
        return
    with tempfile.TemporaryDirectory() as data_dir, serving(Path(data_dir)) as url:
        few = run_apart(url, asked.rows // 10)
        many = run_apart(url, asked.rows)
    if many > few + GROWTH_MIB_MAX:
        raise SystemExit(f"Memory grows with rows: {few} MiB, then {many} MiB.")


if __name__ == "__main__":
    main()
