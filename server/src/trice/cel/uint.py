"""Unsigned integers of expressions. No I/O.

Apart because mypyc compiles no subclass of int (`scripts/compile.py`).
"""

from __future__ import annotations


class Uint(int):
    """An unsigned integer. `==` and order see the number."""

    __slots__ = ()
