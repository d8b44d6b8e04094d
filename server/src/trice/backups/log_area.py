"""What was written since a backup: rows of the log of each app, shipped every few seconds.

    log/APP/FIRST-LAST-TIME    rows of transactions FIRST to LAST, which was at TIME. APP may be
                               `platform`. SHA-256 in hex, newline, MessagePack of the rows
    named/APP.FIRST-LAST-TIME  hashes of files that these rows name, a line each; before the bytes.
                               Of `platform` also `bundle_line` for each bundle of functions
    bases/APP.TX-TIME          a copy of the app at TIME, up to transaction TX: SHA-256, newline,
                               JSON

Numbers have 16 digits, so keys are in order. A base stands where rows cannot be done again (a
change of the schema), and where there was no backup of the app yet.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from trice import backup_limits as limits
from trice.backups.manifest import AppPart, BundlePart, Piece, damaged
from trice.backups.vaults import Vault
from trice.files.blobs import is_hash
from trice.protocol.ids import AppId, TxId
from trice.store.copies import LogRow
from trice.store.engines import PLATFORM

LOG: Final = "log/"
NAMED: Final = "named/"
BASES: Final = "bases/"

_SEGMENT: Final = re.compile(r"([0-9]{16})-([0-9]{16})-([0-9]{16})", re.ASCII)
_BASE: Final = re.compile(r"([0-9a-f-]{36}|platform)\.([0-9]{16})-([0-9]{16})", re.ASCII)
_NAMED: Final = re.compile(r"([0-9a-f-]{36}|platform)\.[0-9]{16}-[0-9]{16}-([0-9]{16})", re.ASCII)

_BUNDLE: Final = re.compile(
    r"([0-9a-f]{64}) ([0-9]{1,18}) ([0-9a-f]{64}) ([0-9]{1,18})", re.ASCII | re.MULTILINE
)

_ENCODER: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """Rows of an app, by their key."""

    first: int
    last: int
    time_ms: int
    app_id: AppId

    @property
    def _name(self) -> str:
        return f"{self.first:016}-{self.last:016}-{self.time_ms:016}"

    @property
    def key(self) -> str:
        return f"{LOG}{self.app_id}/{self._name}"

    @property
    def named_key(self) -> str:
        return f"{NAMED}{self.app_id}.{self._name}"


@dataclass(frozen=True, slots=True, order=True)
class BaseKey:
    """A copy of an app, by its key."""

    tx: int
    time_ms: int
    app_id: AppId

    @property
    def key(self) -> str:
        return f"{BASES}{self.app_id}.{self.tx:016}-{self.time_ms:016}"


class Base(msgspec.Struct, frozen=True):
    """What a base consists of. version   the program that made it"""

    version: str
    part: AppPart


def segment_of(app_id: AppId, rows: list[LogRow]) -> Segment:
    return Segment(rows[0].tx, rows[-1].tx, rows[-1].time_ms, app_id)


def dump_rows(rows: list[LogRow]) -> bytes:
    return _signed(_ENCODER.encode(rows))


def load_rows(segment: Segment, data: bytes) -> list[LogRow]:
    """The rows of a segment; raises InvalidInput when it is damaged."""
    try:
        return msgspec.msgpack.decode(_checked(segment.key, data), type=list[LogRow])
    except msgspec.MsgspecError:
        raise damaged(f"The log is damaged: {segment.key}.") from None


async def find_segments(vault: Vault, app_id: AppId) -> list[Segment]:
    """The segments of an app, in order."""
    found = []
    prefix = f"{LOG}{app_id}/"
    async for key in vault.list(prefix):
        name = _SEGMENT.fullmatch(key.removeprefix(prefix))
        if name is not None:
            found.append(Segment(int(name[1]), int(name[2]), int(name[3]), app_id))
    return sorted(found)


async def find_bases(vault: Vault) -> list[BaseKey]:
    """All bases."""
    names = [_BASE.fullmatch(key.removeprefix(BASES)) async for key in vault.list(BASES)]
    return [BaseKey(int(name[2]), int(name[3]), AppId(name[1])) for name in names if name]


async def read_base(vault: Vault, base: BaseKey) -> Base:
    """Raises InvalidInput when it is damaged, FileNotFoundError."""
    data = await vault.read(base.key, limits.MANIFEST_BYTES_MAX)
    try:
        found = msgspec.json.decode(_checked(base.key, data), type=Base)
    except msgspec.MsgspecError:
        raise damaged(f"The backup is damaged: {base.key}.") from None
    if found.part.id != base.app_id or not all(is_hash(each.hash) for each in found.part.pieces()):
        raise damaged(f"The backup is damaged: {base.key} names what cannot be.")
    return found


async def put_base(vault: Vault, base: Base, time_ms: int) -> BaseKey:
    key = BaseKey(base.part.tx, time_ms, AppId(base.part.id))
    await vault.put_bytes(key.key, _signed(msgspec.json.encode(base)))
    return key


async def put_rows(vault: Vault, app_id: AppId, rows: list[LogRow]) -> TxId:
    """Put a segment; return its last transaction."""
    segment = segment_of(app_id, rows)
    await vault.put_bytes(segment.key, dump_rows(rows))
    return TxId(segment.last)


async def named_hashes(vault: Vault) -> set[str]:
    """The hashes of all files that segments name."""
    found: set[str] = set()
    async for key in vault.list(NAMED):
        try:
            data = await vault.read(key, limits.SEGMENT_BYTES_MAX)
        except FileNotFoundError:
            continue
        found.update(filter(is_hash, data.decode("ascii", "replace").split("\n")))
    return found


def bundle_line(bundle: BundlePart) -> str:
    """A line of a list of what a segment of the log names."""
    code, told = bundle.code, bundle.told
    return f"{code.hash} {code.size} {told.hash} {told.size}"


def read_bundle_lines(text: str) -> list[BundlePart]:
    """The bundles of such a list, whose other lines are hashes of files."""
    return [
        BundlePart(Piece(found[1], int(found[2])), Piece(found[3], int(found[4])))
        for found in map(_BUNDLE.fullmatch, text.split("\n"))
        if found is not None
    ]


async def shipped_bundles(vault: Vault, until_ms: int) -> list[BundlePart]:
    """The bundles of functions that segments of the platform name which end before a moment, or are
    the first after it."""
    names = []
    async for key in vault.list(NAMED):
        name = _NAMED.fullmatch(key.removeprefix(NAMED))
        if name is not None and name[1] == PLATFORM:
            names.append((int(name[2]), key))
    names.sort()
    found: list[BundlePart] = []
    for time_ms, key in names:
        data = await vault.read(key, limits.SEGMENT_BYTES_MAX)
        found += read_bundle_lines(data.decode("ascii", "replace"))
        if time_ms > until_ms:
            break
    return found


async def expire_log(vault: Vault, before_ms: int) -> None:
    """Delete what is older than the oldest backup that stays."""
    old = [base.key for base in await find_bases(vault) if base.time_ms < before_ms]
    async for key in vault.list(NAMED):
        name = _NAMED.fullmatch(key.removeprefix(NAMED))
        if name is not None and int(name[2]) < before_ms:
            old.append(key)
    for app_id in await vault.folders(LOG):
        segments = await find_segments(vault, AppId(app_id))
        old += [segment.key for segment in segments if segment.time_ms < before_ms]
    for start in range(0, len(old), limits.DELETED_AT_ONCE):
        await vault.delete(old[start : start + limits.DELETED_AT_ONCE])


def _signed(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode() + b"\n" + data


def _checked(key: str, data: bytes) -> bytes:
    digest, _, rest = data.partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise damaged(f"The backup is damaged: {key} has another hash.")
    return rest
