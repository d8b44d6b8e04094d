"""Rows that cannot come: all of them are counted and some named, before an import ends. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from trice import archive_limits as limits
from trice.archive.refusals import refused


@dataclass(slots=True)
class _Kind:
    count: int = 0
    lines: list[str] = field(default_factory=list)


class Faults:
    """Faults so far: a count and some lines for each file and kind."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def add(
        self, place: str, problem: str, number: int, shown: str | None = None, unit: str = "line"
    ) -> None:
        """Note a row.

        place    the file
        problem  what its rows do: "have no id"
        shown    more about this one
        unit     what `number` counts
        """
        kind = self._kinds.setdefault((place, problem), _Kind())
        kind.count += 1
        if len(kind.lines) < limits.FAULT_SAMPLES_MAX:
            at = f"{unit} {number:,}"
            kind.lines.append(at if shown is None else f"{at} ({shown})")

    def told(self) -> list[str]:
        """Each file and kind as a sentence."""
        return [f"{place}: {text}" for place, text in self._listed()]

    def check(self, hint: str | None = None) -> None:
        """Raise InvalidInput if there are any; it ends with the hint."""
        if not self._kinds:
            return
        (place, first), *others = self._listed()
        lines = [first, *(f"{name}: {text}" for name, text in others)]
        raise refused(place, "\n".join([*lines, *([] if hint is None else [hint])]))

    def _listed(self) -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        for (place, problem), kind in self._kinds.items():
            more = kind.count - len(kind.lines)
            lines = ", ".join(kind.lines) + (f" and {more:,} more" if more else "")
            told.append((place, f"{kind.count:,} rows {problem}: {lines}."))
        return told[: limits.FAULT_SAMPLES_MAX]
