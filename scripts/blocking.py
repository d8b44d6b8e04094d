"""Write the tables of plain functions from those of async ones (`make gen`).

What is a coroutine there is its value here; words, arguments and docstrings are the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

_SCHEMA: Final = Path(__file__).resolve().parent.parent / "server" / "src" / "trice" / "schema"
TARGET: Final = _SCHEMA / "blocking_tables.py"
_SOURCE: Final = _SCHEMA / "tables.py"
_HEADER: Final = '''\
"""Tables as plain functions have them. Made of `tables` by scripts/blocking.py: do not edit.

For checkers of types: what stands here at run time is in `trice.functions.blocking`. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, overload

from trice.schema.declare import Id, N, unbound
from trice.schema.views import Order, Page, Paged, V, Where


'''
_RENAMED: Final = {
    "class Table(Generic[N]):": "class BlockingTable(Generic[N]):",
    "Reads are awaited; writes are noted at once": "Reads block; writes are noted at once",
}


def blocking_tables() -> str:
    """The source of `trice.schema.blocking_tables`."""
    source = _SOURCE.read_text(encoding="utf-8")
    made = source[source.index("class Table(Generic[N]):") :]
    only = made.index("    if TYPE_CHECKING:")
    made = made[:only] + made[made.index("    # --- reads") :]
    for before, after in _RENAMED.items():
        if before not in made:
            raise SystemExit(f"{_SOURCE} lacks {before!r}, which scripts/blocking.py replaces")
        made = made.replace(before, after)
    return _formatted(_HEADER + _awaited(made))


def _awaited(source: str) -> str:
    """`Later[X]` → `X`."""
    word = "Later["
    while (begin := source.find(word)) >= 0:
        depth, end = 1, begin + len(word)
        while depth:
            depth += {"[": 1, "]": -1}.get(source[end], 0)
            end += 1
        source = source[:begin] + source[begin + len(word) : end - 1] + source[end:]
    return source


def _formatted(source: str) -> str:
    command = (sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-")
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    TARGET.write_text(blocking_tables(), encoding="utf-8")
