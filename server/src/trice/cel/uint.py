"""Unsigned integers of expressions. No I/O.

It has its own module because mypyc compiles no subclass of int (`scripts/compile.py`).
"""

from __future__ import annotations


class Uint(int):
    """An unsigned integer. `==` and order compare the number."""

    __slots__ = ()
