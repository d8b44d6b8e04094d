"""What an import keeps beside its rows, so that the next one goes on where a stop ended it. No I/O.

The note is written in the transaction that makes the rows last (`store.loading.Filling.keep`), and
belongs to one archive, imported with the same options by the same version of the server.

source   spec/archive.md AR100-AR109
"""

from __future__ import annotations

import msgspec

from trice.archive.report import Note


class LinesKept(msgspec.Struct):
    """How far the lines of the namespace under way were read (`lines.LineReader`).

    number, offset   of the last line read, and where the next one begins in its entry
    bits             types of values by position
    """

    etype: str
    number: int = 0
    offset: int = 0
    bits: list[int] = []
    inferred: dict[str, int] = {}
    dropped: dict[str, int] = {}
    nameless: int = 0


class SamplesKept(msgspec.Struct):
    """Names of one kind (`users.Samples`)."""

    count: int = 0
    names: list[str] = []


class SystemKept(msgspec.Struct):
    """What was seen in system namespaces (`users.SystemRows`)."""

    emails: SamplesKept = msgspec.field(default_factory=SamplesKept)
    streams: SamplesKept = msgspec.field(default_factory=SamplesKept)
    shared: SamplesKept = msgspec.field(default_factory=SamplesKept)
    secrets: list[tuple[str, str]] = []


class Kept(msgspec.Struct):
    """How far an import is.

    identity   of the archive and the options, see `load`
    seen       lines by namespace, of those that are read whole
    lines      the namespace under way; None: between two
    entities   how many came, as in the report
    inferred   types of values by attr
    notes      what the report says of lines so far
    is_full    every line and file is in; the indexes are built from then on
    """

    identity: str
    seen: dict[str, int] = {}
    lines: LinesKept | None = None
    entities: dict[str, int] = {}
    inferred: dict[str, int] = {}
    notes: list[Note] = []
    files: int = 0
    file_bytes: int = 0
    system: SystemKept = msgspec.field(default_factory=SystemKept)
    is_full: bool = False


_READ = msgspec.json.Decoder(Kept)


def read_kept(note: bytes | None, *, identity: str) -> Kept | None:
    """The note of an earlier import, if it was of the same archive."""
    if note is None:
        return None
    try:
        kept = _READ.decode(note)
    except (msgspec.MsgspecError, ValueError):
        return None
    return kept if kept.identity == identity else None


def dump_kept(kept: Kept) -> bytes:
    """The note."""
    return msgspec.json.encode(kept)
