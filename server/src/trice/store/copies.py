"""The contract of copying the storage of apps while a server uses it, and of reading such copies.

Every method blocks. A copy is one file that nobody else has open.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from trice.protocol.ids import AppId, TxId


class CopyEnded(Exception):
    """The caller wanted no more of a copy."""


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What is in a copy.

    tx      the last transaction
    counts  entities by namespace (`todos`), and pairs by link to many (`todos.tags`)
    """

    tx: TxId
    counts: dict[str, int]


class LogRow(NamedTuple):
    """A row of the log of transactions, as it is kept."""

    tx: TxId
    time_ms: int
    identity: str
    event_id: str | None
    changes: bytes


class Copies(Protocol):
    """The apps of one data directory, whether a server runs on it or not."""

    def apps(self) -> list[AppId]:
        """The apps that have storage now, by id."""
        ...

    def copy(self, app_id: AppId, path: Path, *, is_over: Callable[[], bool]) -> None:
        """Write an app, or PLATFORM, to a new file, as of one moment. Writers are not held up.

        is_over  is asked now and then, and ends the copy
        raises   FileNotFoundError when there is none; CopyEnded; Unavailable("data-unusable") when
                 it is damaged, ("overloaded") when there is no room
        cost     reads and writes every page. What is written meanwhile stays in the write-ahead
                 log, which grows until the end
        """
        ...

    def find_problem(
        self, path: Path, *, is_whole: bool, is_over: Callable[[], bool]
    ) -> str | None:
        """What is wrong with a copy, or None.

        is_whole   compare indexes with tables too, which takes several times longer
        raises     CopyEnded
        """
        ...

    def facts(self, path: Path) -> CopyFacts:
        """What is in a copy; raises Unavailable."""
        ...

    def newest(self, path: Path) -> tuple[TxId, int]:
        """The last transaction of a copy, and when it was; zeros before the first."""
        ...

    def files(self, path: Path) -> Iterator[tuple[str, int]]:
        """The files of a copy: the hash of their bytes, and their size. By hash, each once."""
        ...

    def texts(self, path: Path, etype: str, labels: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """What all entities of a namespace of a copy have in some attrs that hold texts; those that
        lack one are left out, and so is a namespace that the copy does not have."""
        ...

    def ids(self, path: Path, etype: str) -> list[str]:
        """The ids of all entities of a namespace of a copy."""
        ...

    def stamps(self) -> dict[AppId, Hashable]:
        """For each app, and PLATFORM, a value that differs once a transaction was made."""
        ...

    def log_after(
        self, app_id: AppId, after: TxId, *, rows_max: int, bytes_max: int
    ) -> list[LogRow]:
        """The rows of the log that follow a transaction, as far as it is kept; oldest first.

        bytes_max  no further row is read once the rows take so many
        raises     FileNotFoundError, Unavailable
        """
        ...

    def is_replayable(self, changes: bytes) -> bool:
        """Whether `replay` can do the transaction of this row again. If not, the app must be copied
        anew after it."""
        ...

    def named_files(self, changes: bytes) -> list[str]:
        """Hashes of the files that a row of the log gives to entities."""
        ...

    def given_texts(self, changes: bytes, etype: str) -> list[list[str]]:
        """The texts that a row of the log gives to entities of a namespace, for each of them."""
        ...

    def replay(self, path: Path, rows: Iterable[LogRow]) -> TxId:
        """Do transactions again in a copy that was made before them; return the last one it has
        then. A gap ends it.

        raises   Unavailable("data-unusable") for a row that does not fit the copy
        """
        ...

    def raise_tx(self, path: Path, by: int) -> None:
        """Let all transactions of a copy have higher ids."""
        ...
