"""What stands in a shape for an id. No I/O.

Apart because mypyc compiles no subclass of bytes (`scripts/compile.py`).
"""

from __future__ import annotations


class Hole(bytes):
    """Stands for an id. Equal to itself only, so that no id of a query or rule is taken for it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
