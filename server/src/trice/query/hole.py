"""The placeholders for an id and a text in a shape. No I/O.

They have their own module because mypyc compiles no subclass of bytes or str
(`scripts/compile.py`).
"""

from __future__ import annotations


class Hole(bytes):
    """Stands for an id. It equals only itself, so no id of a query or rule is taken for a hole."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class TextHole(str):
    """Stands for a text that a value is compared with. It equals only itself."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
