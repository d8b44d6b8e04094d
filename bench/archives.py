"""How fast is an Instant backup imported, compared and exported, and with how much memory?

`.venv/bin/python bench/archives.py [MEGABYTES]` writes an archive with so many megabytes of lines
(default 200; 1000 for the figures of README.md) into a temporary folder: tasks with a title, a
body, a flag, a rank and a date, each indexed but the body, a document, an owner and two labels.
Then it runs the commands, and prints the time, rows and megabytes a second, and the most memory of
each. Lines are made anew each time, from one seed, so that the archive is the same.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Final

APP: Final = "5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01"
OWNERS: Final = 5_000
LABELS: Final = 100
TRICE: Final = Path(sys.executable).with_name("trice")


def attr(kind: str, *, indexed: bool = True) -> dict[str, Any]:
    return {"valueType": kind, "config": {"indexed": indexed, "unique": False}}


def side(on: str, label: str, has: str) -> dict[str, str]:
    return {"on": on, "label": label, "has": has}


SCHEMA: Final = {
    "entities": {
        "tasks": {
            "attrs": {
                "title": attr("string"),
                "body": attr("string", indexed=False),
                "done": attr("boolean"),
                "rank": attr("number"),
                "due": attr("date"),
                "extra": attr("any", indexed=False),
            }
        },
        "owners": {"attrs": {"name": attr("string")}},
        "labels": {"attrs": {"name": attr("string")}},
    },
    "links": {
        "tasksOwner": {
            "forward": side("tasks", "owner", "one"),
            "reverse": side("owners", "tasks", "many"),
        },
        "tasksLabels": {
            "forward": side("tasks", "labels", "many"),
            "reverse": side("labels", "tasks", "many"),
        },
    },
}


def uuid(draw: random.Random, kind: int, number: int) -> str:
    return f"{kind:x}{number:07x}-0000-4000-8000-{draw.getrandbits(48):012x}"


def write_archive(path: Path, megabytes: int) -> tuple[int, int]:
    """Write the archive; return its tasks, and bytes of lines."""
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(3, 9))) for _ in range(5_000)]
    owners = [uuid(draw, 1, n) for n in range(OWNERS)]
    labels = [uuid(draw, 2, n) for n in range(LABELS)]
    count = size = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("config.json", json.dumps({"appId": APP, "schema": SCHEMA}))
        for etype, ids in (("labels", labels), ("owners", owners)):
            lines = (line({"id": one, "name": f"{etype} {n}"}, n) for n, one in enumerate(ids))
            archive.writestr(f"entities/{etype}.jsonl", "".join(lines))
        with archive.open("entities/tasks.jsonl", "w", force_zip64=True) as entry:
            while size < megabytes * 1_000_000:
                count += 1
                task = {
                    "id": uuid(draw, 3, count),
                    "title": " ".join(draw.choices(words, k=4)),
                    "body": " ".join(draw.choices(words, k=draw.randint(5, 20))),
                    "done": draw.random() < 0.5,
                    "rank": draw.randint(0, 10**6),
                    "due": 1_700_000_000_000 + draw.randint(0, 10**10),
                    "extra": {"a": [1, 2]},
                    "owner": draw.choice(owners),
                    "labels": draw.sample(labels, 2),
                }
                size += entry.write(line(task, 1_700_000_000_000 + count).encode())
    return count, size


def line(entity: dict[str, Any], created_ms: int) -> str:
    return json.dumps({"entity": entity, "createdAt": created_ms}) + "\n"


def run(name: str, flags: list[str], tasks: int, size: int) -> None:
    """Run a command in a process of its own, and print what it took."""
    began = time.monotonic()
    child = subprocess.Popen([str(TRICE), *flags], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall_s, cpu_s = time.monotonic() - began, used.ru_utime + used.ru_stime
    assert status == 0, f"trice {' '.join(flags)} ended with {status}"
    tell(
        f"{name:<8} {wall_s:>7.1f} s  {cpu_s:>7.1f} s CPU  {tasks / wall_s:>9,.0f} rows/s"
        f"  {size / 1e6 / wall_s:>6.1f} MB/s  {used.ru_maxrss / 1024:>5.0f} MB"
    )


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backup, data = str(folder / "backup.zip"), ["--data-dir", str(folder / "data")]
        tasks, size = write_archive(Path(backup), megabytes)
        tell(f"{tasks:,} tasks in {size / 1e6:,.0f} MB of lines")
        app = ["--app", APP, *data]
        run("import", ["import", backup, *data], tasks, size)
        run("doctor", ["doctor", "--archive", backup, *app], tasks, size)
        run("export", ["export", str(folder / "out.zip"), *app], tasks, size)


if __name__ == "__main__":
    main()
