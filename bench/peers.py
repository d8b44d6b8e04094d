"""Servers named on the command line: those the bench starts, and peers that run already.

A peer speaks the protocol of the bench (see bench/README.md, "A peer"). If it runs on this machine,
its CPU and memory are read from /proc, like those of the others.
"""

from __future__ import annotations

import math
import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from process import Command, ServerProcess

STARTED = ("trice", "floor")
LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))
_LISTENING = "0A"
"""State of a socket that accepts, in /proc/net/tcp (proc(5))."""
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Spec:
    """One server to measure.

    url   None: the bench starts it. Else the root address of a running one, without a final slash
    pids  processes that belong to it, besides the one that listens and its descendants
    """

    name: str
    url: str | None = None
    pids: tuple[int, ...] = ()

    def open(self, command: Command) -> ServerProcess:
        """Start the server by a command, or find the processes of the running one."""
        if self.url is None:
            return ServerProcess.start(self.name, command)
        return ServerProcess(self.name, self.url, self.processes(), math.nan, "", None)

    def processes(self) -> tuple[int, ...]:
        """The process that listens at `url` here, its descendants, and `pids`; () if on another
        machine."""
        if self.url is None:
            return ()
        address = urllib.parse.urlsplit(self.url)
        roots = listeners(address.port or 80) if address.hostname in LOOPBACK else []
        return tuple(sorted({pid for root in (*roots, *self.pids) for pid in family(root)}))


def parse_servers(arguments: list[str]) -> list[Spec]:
    """`["trice,floor", "peer=http://127.0.0.1:8889#4321+4322"]` → the servers, in that order.

    raises  ValueError that says what is accepted
    """
    specs: list[Spec] = []
    for text in (part for argument in arguments for part in argument.split(",") if part):
        spec = parse_server(text)
        if any(spec.name == other.name for other in specs):
            raise ValueError(f"two servers are called {spec.name}")
        specs.append(spec)
    return specs


def parse_server(text: str) -> Spec:
    """One server: `trice`, `floor`, or `NAME=URL[#PID+PID…]`."""
    name, equals, address = text.partition("=")
    if not equals:
        if name not in STARTED:
            raise ValueError(f"{text}: accepted are {', '.join(STARTED)} and NAME=URL[#PID+PID…]")
        return Spec(name)
    parts = urllib.parse.urlsplit(address)
    pids = [pid for pid in parts.fragment.split("+") if pid]
    if name in STARTED or not _NAME.fullmatch(name):
        raise ValueError(f"{text}: a peer needs a name of its own, of a-z, 0-9 and -")
    if parts.scheme != "http" or not parts.hostname or not all(pid.isdigit() for pid in pids):
        raise ValueError(f"{text}: accepted is NAME=http://HOST:PORT, then #PID+PID… if need be")
    url = f"http://{parts.netloc}{parts.path.rstrip('/')}"
    return Spec(name, url, tuple(int(pid) for pid in pids))


def listeners(port: int) -> list[int]:
    """Processes of this machine that accept on `port`, as far as we may inspect them."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for fields in (line.split() for line in lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _holds(entry, inodes)]


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(fd) in sockets for fd in (process / "fd").iterdir())
    except OSError:
        return False  # we may not inspect it, or it has ended


def family(pid: int) -> list[int]:
    """`pid` and its descendants that still run."""
    found = [pid] if Path(f"/proc/{pid}").exists() else []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found
