"""Stands for `trice serve` where the server is mounted in a Starlette program under uvicorn.

It takes the flags that the suites in Node start a server with, and TRICE_MOUNTED_AT: the prefix.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from trice.asgi import App


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--no-ephemeral-quotas", action="store_true")
    given = parser.parse_args()
    prefix = os.environ["TRICE_MOUNTED_AT"]
    listener = socket.create_server((given.host, given.port))
    url = f"http://{given.host}:{listener.getsockname()[1]}{prefix}"
    backend = App(given.data_dir, url=url, has_ephemeral_quotas=not given.no_ephemeral_quotas)
    program = Starlette(routes=[Mount(prefix or "/", backend)], lifespan=backend.lifespan)

    class Told(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            sys.stdout.write(f"trice is ready at {url}\n")
            sys.stdout.flush()

    Told(uvicorn.Config(program, ws="websockets-sansio", log_level="warning")).run([listener])


if __name__ == "__main__":
    main()
