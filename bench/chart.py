"""Draws lines over row counts as SVG, without a library: small panels side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

PANEL_WIDTH, PANEL_HEIGHT = 330, 220
LEFT, TOP, GAP, BOTTOM = 52, 62, 60, 56
TICKS = 4
COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626")
"""One for each server, in their order."""
INK, FAINT = "#1f2937", "#d1d5db"

_PAGE = re.compile(r"page_(\d+)")
_WRITE = re.compile(r"write_(\d+)_beside_(\d+)")


@dataclass(frozen=True, slots=True)
class Point:
    """A median with its spread, at a number of rows."""

    rows: int
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """The points of one server, by rising row count."""

    server: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing. Panels of equal `scale_with` have one vertical axis, to be compared by eye."""

    title: str
    scale_with: str
    lines: tuple[Line, ...]

    def highest(self) -> float:
        return max(point.high for line in self.lines for point in line.points)


def growth_chart(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str | None:
    """The growth rows of `results` (server → key → facts, see report.summary) as an SVG document;
    None when there are none. Times in ms from zero, rows on a logarithmic axis."""
    panels: dict[tuple[str, str], dict[str, list[Point]]] = {}
    for server, rows in results.items():
        for key, facts in rows.items():
            if found := _PAGE.fullmatch(key):
                title = "page of 20 by an indexed attr", "page"
            elif found := _WRITE.fullmatch(key):
                title = f"a write beside {int(found.group(2)):,} live queries", "write"
            else:
                continue
            point = Point(int(found.group(1)), facts["median"], facts["min"], facts["max"])
            panels.setdefault(title, {}).setdefault(server, []).append(point)
    if not panels:
        return None
    drawn = [
        Panel(*title, tuple(Line(server, _by_rows(points)) for server, points in lines.items()))
        for title, lines in panels.items()
    ]
    servers = [name for name in results if any(name in lines for lines in panels.values())]
    return _document(drawn, servers)


def _by_rows(points: list[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.rows))


def _document(panels: Sequence[Panel], servers: Sequence[str]) -> str:
    width = LEFT + len(panels) * (PANEL_WIDTH + GAP)
    height = TOP + PANEL_HEIGHT + BOTTOM
    colours = {server: COLOURS[n % len(COLOURS)] for n, server in enumerate(servers)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for n, server in enumerate(servers):
        x = LEFT + n * 120
        parts.append(
            f'<line x1="{x}" y1="16" x2="{x + 24}" y2="16" stroke="{colours[server]}" '
            'stroke-width="3"/>'
        )
        parts.append(_text(x + 30, 20, server))
    for n, panel in enumerate(panels):
        alike = [other for other in panels if other.scale_with == panel.scale_with]
        ceiling = _ceiling(max(other.highest() for other in alike))
        parts += _panel(panel, LEFT + n * (PANEL_WIDTH + GAP), ceiling, colours)
    parts.append("</svg>\n")
    return "\n".join(parts)


def _panel(panel: Panel, left: float, ceiling: float, colours: Mapping[str, str]) -> list[str]:
    points = [point for line in panel.lines for point in line.points]
    decades = [math.log10(point.rows) for point in points]
    first, last = min(decades), max(decades)
    bottom = TOP + PANEL_HEIGHT

    def x(rows: int) -> float:
        share = (math.log10(rows) - first) / (last - first) if last > first else 0.5
        return left + 12 + share * (PANEL_WIDTH - 24)

    def y(value: float) -> float:
        return bottom - value / ceiling * PANEL_HEIGHT

    parts = [_text(left, TOP - 14, panel.title, weight="600")]
    for n in range(TICKS + 1):
        value = ceiling * n / TICKS
        parts.append(
            f'<line x1="{left}" y1="{y(value):.1f}" x2="{left + PANEL_WIDTH}" '
            f'y2="{y(value):.1f}" stroke="{FAINT}"/>'
        )
        parts.append(_text(left - 6, y(value) + 4, f"{value:g}", anchor="end"))
    for rows in sorted({point.rows for point in points}):
        parts.append(_text(x(rows), bottom + 18, f"{rows:,}", anchor="middle"))
    parts.append(_text(left + PANEL_WIDTH / 2, bottom + 38, "rows", anchor="middle"))
    parts.append(_text(left - 6, TOP - 14, "ms", anchor="end"))
    for line in panel.lines:
        colour = colours[line.server]
        path = " ".join(f"{x(point.rows):.1f},{y(point.median):.1f}" for point in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in line.points:
            at = f"{x(point.rows):.1f}"
            parts.append(
                f'<line x1="{at}" y1="{y(point.low):.1f}" x2="{at}" y2="{y(point.high):.1f}" '
                f'stroke="{colour}" stroke-opacity="0.4" stroke-width="4"/>'
            )
            parts.append(f'<circle cx="{at}" cy="{y(point.median):.1f}" r="4" fill="{colour}"/>')
    return parts


def _ceiling(value: float) -> float:
    """The least of 1, 2, 4, 8 times a power of ten that is not below `value`."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next((step * power for step in (1, 2, 4, 8) if step * power >= value), 10 * power)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{INK}">{escape(text)}</text>'
    )
