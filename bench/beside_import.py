"""How much longer do writes take while an archive is imported into the same server?

`.venv/bin/python bench/beside_import.py [MEGABYTES]` starts a server, lets four clients write to
one app over HTTP, alone for a while and then while an archive of so many megabytes of lines
(default 100, those of `archives.py`) is imported by URL, and prints p50, p99 and the longest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any, Final

from archives import TRICE, write_archive

WRITERS: Final = 4
ALONE_S: Final = 15
PAUSE_S: Final = 0.005


def ask(url: str, body: Any, headers: dict[str, str]) -> Any:
    sent = {"content-type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), sent)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def told(name: str, taken_ms: list[float]) -> None:
    ordered = sorted(taken_ms)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    sys.stdout.write(
        f"{name:<8} {len(ordered):>7,} writes  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms"
        f"  longest {ordered[-1]:6.1f} ms\n"
    )


def measure(url: str, token: str, archive: Path) -> None:
    made = ask(f"{url}/superadmin/apps", {"title": "writes"}, {"authorization": f"Bearer {token}"})
    app = made["app"]
    headers = {"authorization": f"Bearer {app['admin-token']}", "app-id": app["id"]}
    taken_ms: list[float] = []
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            began_s = time.perf_counter()
            steps = [["update", "todos", str(uuid.uuid4()), {"title": "write"}]]
            ask(f"{url}/admin/transact", {"steps": steps}, headers)
            taken_ms.append((time.perf_counter() - began_s) * 1000)
            time.sleep(PAUSE_S)

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        time.sleep(ALONE_S)
        told("alone", taken_ms[:])
        before, began_s = len(taken_ms), time.perf_counter()
        words = [TRICE, "import", archive, "--url", url, "--token", token, "--ignore-counts"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        told("beside", taken_ms[before:])
        sys.stdout.write(f"import   {time.perf_counter() - began_s:.1f} s\n")
    finally:
        is_over.set()
        for writer in writers:
            writer.join()


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive, data = folder / "in.zip", folder / "data"
        write_archive(archive, megabytes)
        words = [TRICE, "accounts", "create", "a@example.com", "--print-token", "--data-dir", data]
        token = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1]
        serve = [TRICE, "serve", "--port", "0", "--data-dir", data]
        server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            measure(server.stdout.readline().split()[-1], token, archive)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
