"""The bars of commands that read much."""

from __future__ import annotations

import sys
from typing import Any

import click


class Bars:
    """Bars on standard error, one after the other: bytes sent, bytes read, indexes built."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._label = ""

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *failure: object) -> None:
        self._close()

    def sent(self, bytes_so_far: int, bytes_in_all: int) -> None:
        self._show("sending", bytes_so_far, bytes_in_all)

    def read(self, bytes_so_far: int, bytes_in_all: int) -> None:
        self._show("reading", bytes_so_far, bytes_in_all)

    def indexed(self, done: int, of: int) -> None:
        self._show("indexing", done, of)

    def _show(self, label: str, done: int, of: int) -> None:
        if label != self._label:
            self._close()
            self._label = label
            self._bar = click.progressbar(length=of, label=f"{label:<8}", file=sys.stderr)
            self._bar.render_progress()
        self._bar.update(done - self._bar.pos)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
