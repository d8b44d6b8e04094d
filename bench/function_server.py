"""`trice serve` that runs functions as whoever runs the bench: as root it would refuse them, unless
told whose user they get (TRICE_FUNCTIONS_USER), who may not read every checkout.
"""

from __future__ import annotations

import os
import sys

from trice import server
from trice.calls.side import RunsCalls
from trice.calls.workers.starter import OnLine, Starter
from trice.calls.workers.workers import Workers
from trice.cli.main import main
from trice.server import Server


class FunctionServer(Server):
    """The server, with the workers that it has where they are allowed."""

    def make_workers(self, on_line: OnLine) -> RunsCalls:
        cores = os.cpu_count() or 1
        starter = Starter(self._runtime, users=None, on_line=on_line, is_hiding=False)
        return Workers(starter, runtime=self._runtime, processes_max=2 * cores, cores=cores)


if __name__ == "__main__":
    server.Server = FunctionServer  # type: ignore[misc]  # which `serve` imports when it begins
    main(["serve", *sys.argv[1:]], prog_name="trice")
