"""Compare an app with an archive: counts of all entities, values of some.

source   spec/archive.md AR70-AR75
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from trice import archive_limits as limits
from trice.apps.registry import AppRow
from trice.archive.config import parse_config
from trice.archive.container import Container
from trice.archive.lines import LineReader, LineWriter, ReadLine, etype_namespace
from trice.archive.read import entities_of
from trice.archive.schema import LEFT_OUT, TRANSIENT, plan_attrs
from trice.catalog.attr import Attr
from trice.catalog.catalog import Namespace
from trice.files.blobs import Blobs
from trice.files.rows import FILES
from trice.protocol.ids import AppId, EntityId, uuid_text
from trice.runtime import Runtime
from trice.store.engine import Engine, Snapshot
from trice.store.rows import StoredRow

_NOT_COMPARED = {"$streams": frozenset({"machineId"}), "$files": frozenset({"content-hash"})}
"""Labels that an import sets or clears itself."""


_LINE_BYTES_USUAL: Final = 300
"""By this the number of lines is guessed where an archive does not say it."""


@dataclass(slots=True)
class Comparison:
    """One namespace.

    in_archive, here   how many entities
    compared           how many were compared by value
    differing          ids of those that are missing here, or differ, each with the first label
    """

    etype: str
    in_archive: int = 0
    here: int = 0
    compared: int = 0
    differing: list[str] = field(default_factory=list)
    differing_count: int = 0

    @property
    def is_equal(self) -> bool:
        return self.in_archive == self.here and not self.differing_count

    def differ(self, entity: EntityId, how: str) -> None:
        self.differing_count += 1
        if len(self.differing) < limits.NOTES_MAX:
            self.differing.append(f"{uuid_text(entity)}: {how}")


@dataclass(slots=True)
class Compared:
    """An app beside an archive.

    problems   sentences about schema, rules and bytes
    """

    namespaces: list[Comparison] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return not self.problems and all(each.is_equal for each in self.namespaces)


async def compare(
    container: Container,
    *,
    row: AppRow,
    engine: Engine,
    blobs: Blobs,
    runtime: Runtime,
    is_whole: bool,
) -> Compared:
    """Compare an app with an archive.

    is_whole   compare every entity by value, not limits.SAMPLES_PER_NAMESPACE of each namespace
    raises     InvalidInput when the archive cannot be read
    """
    work = _Comparison(container, row, runtime=runtime, is_whole=is_whole)
    await engine.read_on_thread(work.run, timeout_ms=limits.READ_TIMEOUT_MS)
    for hash, size, path in work.files:
        found = await blobs.size(AppId(row.id), hash)
        if found != size:
            state = "missing" if found is None else f"of {found:,} bytes instead of {size:,}"
            work.compared.problems.append(f"The bytes of the file {path} are {state}.")
    return work.compared


class _Comparison:
    """Holds what was found so far, and the files whose bytes are looked at in the end."""

    def __init__(
        self, container: Container, row: AppRow, *, runtime: Runtime, is_whole: bool
    ) -> None:
        self._container = container
        self._row = row
        self._config = parse_config(container.read_config())
        self._runtime = runtime
        self._is_whole = is_whole
        self.compared = Compared()
        self.files: list[tuple[str, int, str]] = []

    def run(self, snapshot: Snapshot) -> None:
        """Compare everything but bytes. Runs on a thread."""
        self._compare_settings(snapshot)
        catalog = snapshot.catalog
        etypes = {*self._container.entities, *catalog.namespaces}
        for etype in sorted(etypes - TRANSIENT):
            namespace = etype_namespace(catalog, etype)
            if namespace is None:
                if etype in self._container.entities:
                    told = f"The namespace {etype} is in the archive only."
                    self.compared.problems.append(told)
                continue
            here, _ = snapshot.stored.count(namespace)
            found = Comparison(etype, here=here)
            if etype in self._container.entities:
                self._compare_entities(snapshot, namespace, found)
            if found.here or found.in_archive:
                self.compared.namespaces.append(found)

    def _compare_settings(self, snapshot: Snapshot) -> None:
        lacking = plan_attrs(self._config.schema, (), snapshot.catalog, self._runtime)
        problems = self.compared.problems
        problems += (f"The attr {attr.name} is in the archive only." for attr in lacking)
        if _canonical(self._config.rules) != _canonical(self._row.rules):
            problems.append("The rules differ.")
        if self._config.app_id not in (None, self._row.id):
            problems.append(f"The archive is of another app: {self._config.app_id}.")

    def _compare_entities(
        self, snapshot: Snapshot, namespace: Namespace, found: Comparison
    ) -> None:
        reader = LineReader(namespace, drops_unknown=True, checks_required=False)
        step = 1
        if not self._is_whole:
            size = self._container.entities[namespace.etype].file_size
            guess = size // _LINE_BYTES_USUAL
            count = (self._config.counts or {}).get(namespace.etype, guess)
            step = max(count // limits.SAMPLES_PER_NAMESPACE, 1)
        batch: list[ReadLine] = []
        for number, text in self._container.lines(namespace.etype):
            found.in_archive += 1
            if (number - 1) % step:
                continue
            line = reader.read(number, text)
            if line is None:
                found.in_archive -= 1
                continue
            batch.append(line)
            if len(batch) == limits.PAGE_ROWS:
                self._compare_batch(snapshot, namespace, batch, found)
                batch = []
        self._compare_batch(snapshot, namespace, batch, found)

    def _compare_batch(
        self,
        snapshot: Snapshot,
        namespace: Namespace,
        batch: Sequence[ReadLine],
        found: Comparison,
    ) -> None:
        if not batch:
            return
        rows = snapshot.stored.find(namespace, [line.id for line in batch])
        stored = dict(self._with_targets(snapshot, namespace, rows))
        for line in batch:
            found.compared += 1
            if line.id not in stored:
                found.differ(line.id, "missing here")
                continue
            row, entity = stored[line.id]
            label = _first_difference(namespace, line, row, entity)
            if label is not None:
                found.differ(line.id, f"`{label}` differs")
            elif namespace.etype == FILES and len(self.files) < limits.SAMPLES_PER_NAMESPACE:
                hash = str(entity.get("content-hash"))
                self.files.append((hash, int(entity["size"]), str(entity["path"])))

    def _with_targets(
        self, snapshot: Snapshot, namespace: Namespace, rows: Sequence[StoredRow]
    ) -> Iterator[tuple[EntityId, tuple[StoredRow, dict[str, Any]]]]:
        writer = LineWriter(namespace, left_out=frozenset())
        for row, entity in entities_of(snapshot.stored, writer, rows) if rows else ():
            assert isinstance(row[0], bytes)
            yield EntityId(row[0]), (row, entity)


def _first_difference(
    namespace: Namespace, line: ReadLine, row: StoredRow, entity: dict[str, Any]
) -> str | None:
    """The label of an attr in which a line and a stored entity differ."""
    left_out = _NOT_COMPARED.get(namespace.etype, frozenset()) | LEFT_OUT.get(
        namespace.etype, frozenset()
    )
    if line.row[1] != row[1]:
        return "createdAt"
    for position, attr in enumerate(namespace.columns, 2):
        if line.row[position] != row[position] and attr.label not in left_out:
            return attr.label
    return next((attr.label for attr in namespace.pairs if _targets(attr, line, entity)), None)


def _targets(attr: Attr, line: ReadLine, entity: dict[str, Any]) -> bool:
    """Whether the targets of a link to many differ."""
    given = {uuid_text(target) for _, target, _ in line.pairs.get(attr.id, ())}
    return given != set(entity.get(attr.label, ()))


def _canonical(rules: Any) -> bytes:
    return orjson.dumps(rules or None, option=orjson.OPT_SORT_KEYS)
