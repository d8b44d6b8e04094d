"""From rows to the table that people read, and the record of it in bench/."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from chart import growth_chart
from workloads import Row

BEGIN, END = "<!-- results: bench/run --record writes this -->", "<!-- end of the results -->"

Facts = dict[str, Any]
"""{"group", "label", "unit", "median", "min", "max", "samples", "client_share"?} of one row."""
Results = dict[str, dict[str, Facts]]
"""Server → key of a row → its facts."""


def summary(row: Row, group: str) -> Facts | None:
    """The facts of a row that are recorded; None if nothing could be measured (all NaN)."""
    samples = [sample for sample in row.samples if math.isfinite(sample)]
    if not samples:
        return None
    facts: Facts = {
        "group": group,
        "label": row.label,
        "unit": row.unit,
        "median": statistics.median(samples),
        "min": min(samples),
        "max": max(samples),
        "samples": len(samples),
    }
    shares = [share for share in row.client_share if math.isfinite(share)]
    if shares:
        facts["client_share"] = statistics.median(shares)
    return facts


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(facts: Facts | None) -> str:
    if facts is None:
        return "–"
    if facts["samples"] == 1:
        return number(facts["median"])
    return f"{number(facts['median'])} ({number(facts['min'])}–{number(facts['max'])})"


def table(results: Results, recorded: Mapping[str, Facts] | None = None) -> str:
    """Medians with their spread: trice beside each other server, and the ratio. With `recorded`,
    also the medians of trice that were recorded last."""
    names = sorted(results, key=lambda name: (name != "trice", name != "floor", name))
    others = [name for name in names if name != "trice"] if "trice" in names else []
    heads = ["work", "unit", *names, *(f"trice / {name}" for name in others)]
    heads += ["recorded"] if recorded is not None else []
    lines = [_line([*heads, "client's CPU share"]), _line(["---"] * (len(heads) + 1))]
    keys = {key: facts for rows in results.values() for key, facts in rows.items()}
    for key, facts in keys.items():
        ours = results.get("trice", {}).get(key)
        cells = [facts["label"], facts["unit"], *(cell(results[n].get(key)) for n in names)]
        cells += [_ratio(ours, results[name].get(key)) for name in others]
        if recorded is not None:
            cells.append(number(recorded[key]["median"]) if key in recorded else "–")
        share = (ours or facts).get("client_share")
        lines.append(_line([*cells, "–" if share is None else f"{share:.0%}"]))
    return "\n".join(lines) + "\n"


def usage_table(usage: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """CPU seconds that each server spent on each group, and its resident MB at the end."""
    names = list(usage)
    groups = list(dict.fromkeys(group for found in usage.values() for group in found))
    heads = [f"{name}: {what}" for name in names for what in ("CPU s", "MB after")]
    lines = [_line(["group", *heads]), _line(["---"] * (len(heads) + 1))]
    for group in groups:
        cells = [group]
        for name in names:
            found = usage[name].get(group, {})
            values = (found.get("cpu_s", math.nan), found.get("rss_mb", math.nan))
            cells += [number(value) if math.isfinite(value) else "–" for value in values]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ratio(ours: Facts | None, theirs: Facts | None) -> str:
    if not ours or not theirs or ours["median"] <= 0 or theirs["median"] <= 0:
        return "–"
    return f"{ours['median'] / theirs['median']:.2f}"


def record(
    folder: Path, results: Results, usage: Mapping[str, Any], run: Mapping[str, str]
) -> None:
    """Write baseline.json, growth.svg and the table in README.md (where it has the two markers).

    Groups measured now replace the recorded ones for every server, so that the ratios of a row are
    always of one run; the others stay. `run`: {"machine", "command"} of this run, kept for each
    group.
    """
    path = folder / "baseline.json"
    before = orjson.loads(path.read_bytes()) if path.exists() else {}
    measured = {facts["group"] for rows in results.values() for facts in rows.values()}
    merged: Results = {}
    for found in (_without(before.get("results", {}), measured), results):
        for server, rows in found.items():
            merged.setdefault(server, {}).update(rows)
    runs = {**before.get("runs", {}), **dict.fromkeys(sorted(measured), run)}
    spent: dict[str, Any] = {name: dict(groups) for name, groups in before.get("usage", {}).items()}
    for name, groups in usage.items():
        spent[name] = {**spent.get(name, {}), **groups}
    document = {"runs": runs, "usage": spent, "results": merged}
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    if (chart := growth_chart(merged)) is not None:
        (folder / "growth.svg").write_text(chart, encoding="utf-8")
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else f"{BEGIN}\n{END}\n"
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if begin and end:
        body = f"{BEGIN}\n{_sources(runs)}\n{table(merged)}\n{usage_table(spent)}{END}"
        readme.write_text(f"{head}{body}{tail}", encoding="utf-8")


def _without(results: Results, groups: set[str]) -> Results:
    """`results` without `groups`, and without rows of earlier benches that name no group."""
    kept: Results = {}
    for server, rows in results.items():
        left = {key: facts for key, facts in rows.items() if facts.get("group")}
        left = {key: facts for key, facts in left.items() if facts["group"] not in groups}
        if left:
            kept[server] = left
    return kept


def _sources(runs: Mapping[str, Mapping[str, str]]) -> str:
    """One line for each run that rows of the table come from."""
    groups: dict[tuple[str, str], list[str]] = {}
    for group, run in runs.items():
        groups.setdefault((run["command"], run["machine"]), []).append(group)
    return "".join(
        f"`{command}` on {machine}: {', '.join(names)}.\n"
        for (command, machine), names in groups.items()
    )
