"""Servers as processes: start, first answer, CPU time, memory, stop."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

BENCH = Path(__file__).parent
ROOT = BENCH.parent
START_LIMIT_S = 20
STOP_LIMIT_S = 10
_READY = re.compile(r"is ready at (http://\S+)")

SCHEMA = {
    "entities": {
        "people": {"attrs": {"name": {"valueType": "string", "config": {"indexed": True}}}},
        "todos": {
            "attrs": {
                "title": {"valueType": "string", "config": {}},
                "done": {"valueType": "boolean", "config": {}},
                "priority": {"valueType": "number", "config": {"indexed": True}},
                "label": {"valueType": "string", "config": {"indexed": True}},
            }
        },
    },
    "links": {
        "todosOwner": {
            "forward": {"on": "todos", "has": "one", "label": "owner"},
            "reverse": {"on": "people", "has": "many", "label": "todos"},
        }
    },
}


def trice_command(data_dir: str) -> list[str]:
    """`trice serve` on a free port."""
    command = str(ROOT / ".venv/bin/trice")
    return [command, "serve", "--host", "127.0.0.1", "--port", "0", "--data-dir", data_dir]


def floor_command(data_dir: str) -> list[str]:
    """The hand-written Node server of bench/floor."""
    return ["node", str(BENCH / "floor/server.mjs"), data_dir]


def install_floor() -> str | None:
    """Install the floor's two packages once; the reason why it cannot run, or None."""
    floor = BENCH / "floor"
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "needs Node and npm"
    if not (floor / "node_modules/better-sqlite3/build/Release/better_sqlite3.node").exists():
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        result = subprocess.run(command, cwd=floor, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return f"npm install failed: {result.stderr.strip()[-300:]}"
    return None


@dataclass(slots=True)
class ServerProcess:
    """A running server; `start_ms` is from spawn to the first answered GET /health."""

    name: str
    url: str
    pid: int
    start_ms: float
    directory: str
    child: subprocess.Popen[str]

    @classmethod
    def start(cls, name: str) -> ServerProcess:
        directory = tempfile.mkdtemp(prefix=f"{name}-bench-")
        command = trice_command(directory) if name == "trice" else floor_command(directory)
        started = time.perf_counter()
        log = open(Path(directory) / "stderr.log", "w")  # noqa: SIM115 (lives as long as the child)
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert child.stdout is not None
        url = None
        while url is None and time.perf_counter() - started < START_LIMIT_S:
            line = child.stdout.readline()
            if not line:
                break
            if found := _READY.search(line):
                url = found.group(1)
        if url is None:
            child.kill()
            said = (Path(directory) / "stderr.log").read_text()
            raise RuntimeError(f"{name} did not become ready:\n{said[-2000:]}")
        urllib.request.urlopen(f"{url}/health").read()
        start_ms = (time.perf_counter() - started) * 1000
        return cls(name, url, child.pid, start_ms, directory, child)

    def create_app(self, rules: Any = None) -> str:
        """A new app with the bench's schema, open or under `rules`; its id."""
        body = {"title": "bench", "schema": SCHEMA}
        if rules is not None:
            body["rules"] = {"code": rules}
        app_id: str = self._post("/dash/apps/ephemeral", body)["app"]["id"]
        return app_id

    def sign_in(self, app_id: str) -> tuple[str, str]:
        """A new guest account: its refresh token and its id."""
        user = self._post("/runtime/auth/sign_in_guest", {"app-id": app_id})["user"]
        return user["refresh_token"], user["id"]

    def _post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, orjson.dumps(body), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            return orjson.loads(response.read())

    def cpu_s(self) -> float:
        """Time on a CPU so far, all threads that live, to the microsecond."""
        total_ns = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            total_ns += int((task / "schedstat").read_text().split()[0])
        return total_ns / 1e9

    def rss_mb(self) -> float:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
