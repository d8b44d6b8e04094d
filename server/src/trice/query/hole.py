"""The placeholder for an id in a shape. No I/O.

It has its own module because mypyc compiles no subclass of bytes (`scripts/compile.py`).
"""

from __future__ import annotations


class Hole(bytes):
    """Stands for an id. It equals only itself, so no id of a query or rule is taken for a hole."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
