"""Servers as processes: start, first answer, CPU time, memory, stop."""

from __future__ import annotations

import functools
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

BENCH = Path(__file__).parent
START_LIMIT_S = 20
STOP_LIMIT_S = 10
_READY = re.compile(r"is ready at (http://\S+)")
Command = Callable[[str], list[str]]
"""The command of a server, for a data directory."""
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")

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
    """`trice serve` on a free port, by the Python (and the `PYTHONPATH`) of the bench."""
    options = ["--host", "127.0.0.1", "--port", "0", "--data-dir", data_dir]
    return [sys.executable, "-m", "trice", "serve", *options]


@functools.cache
def environment() -> dict[str, str]:
    """The environment of the servers, with a cache of bytecode, as an installed package has one.

    Without it, all of trice is compiled to bytecode at each start: 700 ms of CPU instead of 370.
    """
    compiling = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # The bench measures the server, not the quotas of throw-away apps.
    compiling.setdefault("TRICE_EPHEMERAL_QUOTAS", "0")
    # Receivers of webhooks are on this machine.
    compiling.setdefault("TRICE_WEBHOOKS_PRIVATE", "1")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import trice.cli.serve, trice.server, trice.functions.loading,"
            " trice.functions.worker.__main__",
        ],
        env=compiling,
        check=True,
    )
    return compiling


def functions_command(data_dir: str) -> list[str]:
    """The same, where functions run as whoever runs the bench."""
    _, _, _, _, *options = trice_command(data_dir)
    return [sys.executable, str(BENCH / "function_server.py"), *options]


def floor_command(data_dir: str) -> list[str]:
    """The hand-written Node server of bench/floor."""
    return ["node", str(BENCH / "floor/server.mjs"), data_dir]


def nginx_command(data_dir: str) -> list[str]:
    """The floor of files."""
    return [sys.executable, str(BENCH / "floor/nginx.py"), data_dir]


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
    """A running server.

    pids      its processes on this machine; if empty, figures from /proc are NaN
    start_ms  from spawn to the first answered GET /health; NaN if the bench did not start it
    child     the process to stop; None if the bench did not start it
    """

    name: str
    url: str
    pids: tuple[int, ...]
    start_ms: float
    directory: str
    child: subprocess.Popen[str] | None

    @classmethod
    def start(cls, name: str, command_of: Command = trice_command) -> ServerProcess:
        """Start trice or the floor."""
        directory = tempfile.mkdtemp(prefix=f"{name}-bench-")
        command = command_of(directory)
        servers_environment = environment()
        started = time.perf_counter()
        log = open(Path(directory) / "stderr.log", "w")  # noqa: SIM115 (lives as long as the child)
        child = subprocess.Popen(
            command, env=servers_environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
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
        return cls(name, url, (child.pid,), start_ms, directory, child)

    def create_app(self, rules: Any = None) -> str:
        """Make an app with the bench's schema, open or under `rules`; return its id."""
        body = {"title": "bench", "schema": SCHEMA}
        if rules is not None:
            body["rules"] = {"code": rules}
        app_id: str = self._post("/dash/apps/ephemeral", body)["app"]["id"]
        return app_id

    def create_app_with_token(self) -> tuple[str, str]:
        """Make an app with the bench's schema; return its id and its admin token."""
        app = self._post("/dash/apps/ephemeral", {"title": "bench", "schema": SCHEMA})["app"]
        return app["id"], app["admin-token"]

    def ask(self, path: str, token: str, body: Any = None) -> Any:
        """A request with a token: GET, or POST of a body."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        sent = None if body is None else orjson.dumps(body)
        request = urllib.request.Request(self.url + path, sent, headers)
        with urllib.request.urlopen(request) as response:
            return orjson.loads(response.read())

    def sign_in(self, app_id: str) -> tuple[str, str]:
        """Make a guest account; return its refresh token and its id."""
        user = self._post("/runtime/auth/sign_in_guest", {"app-id": app_id})["user"]
        return user["refresh_token"], user["id"]

    def _post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, orjson.dumps(body), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            return orjson.loads(response.read())

    def is_running(self) -> bool:
        """Whether all its known processes still run."""
        return all(Path(f"/proc/{pid}/task").exists() for pid in self.pids) and (
            self.child is None or self.child.poll() is None
        )

    def cpu_s(self) -> float:
        """CPU time so far of all living threads, to the microsecond."""
        if not self.pids:
            return math.nan
        tasks = (task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def rss_mb(self) -> float:
        """Resident memory now."""
        if not self.pids:
            return math.nan
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def forget_peak(self) -> None:
        """Let `peak_mb` begin again (proc(5), clear_refs)."""
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mb(self) -> float:
        """The sum of each process's peak of resident memory since `forget_peak`."""
        if not self.pids:
            return math.nan
        total = 0
        for pid in self.pids:
            found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
            total += int(found.group(1)) if found else 0
        return total * 1024 / 1e6

    def stop(self) -> None:
        """End the process and remove its data; a server that the bench did not start runs on."""
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
