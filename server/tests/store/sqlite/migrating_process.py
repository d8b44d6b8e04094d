"""Opens an old file and kills itself on the way: `migrating_process.py FILE WHERE`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.runtime import FakeRuntime
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.engine import SqliteEngine

path, where = sys.argv[1:]


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


copy_to, run = Connection.copy_to, Connection.run


def copied(self: Connection, target: str) -> None:
    copy_to(self, target)
    if where == "copying":
        die()


def ran(self: Connection, sql: str) -> None:
    if where == "committing" and sql == "COMMIT":
        die()
    run(self, sql)
    if where == "migrating" and sql.startswith("UPDATE _tx"):
        die()


Connection.copy_to, Connection.run = copied, ran  # type: ignore[method-assign]
SqliteEngine.open(path, runtime=FakeRuntime(), can_create=False)
