"""Explanations for people: which rule decided, its values, what would have had to be true.

hidden   todos 0b1e…                     one block per check that failed
  rule     todos.allow.view
           mine || data.shared
           mine = auth.id == data.owner
  values   auth.id      null             nobody is signed in
           data.owner   "a7c2…"
  needed   auth.id == data.owner
           or data.shared
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

_LABEL: Final = "{:<9}"
_VALUE_CHARS: Final = 60
_PART_CHARS: Final = 40
_WARNINGS_SHOWN: Final = 10
_EXPLAINED_EACH: Final = 3
"""How many refusals of one kind by one rule are explained; the others are counted."""

_COLORS: Final = {
    **dict.fromkeys(("visible", "allowed", "passed"), "green"),
    **dict.fromkeys(("hidden", "denied", "failed", "error"), "red"),
    "warning": "yellow",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One check, in a form for people.

    verdict       "visible", "hidden", "allowed", "denied" or "error"
    subject       what was checked: `todos 0b1e…`, `update todos 0b1e…`
    kind          the subject without the entity, to count by
    """

    verdict: str
    subject: str
    kind: str
    explanation: Mapping[str, Any]

    @property
    def is_allowed(self) -> bool:
        return self.verdict in ("visible", "allowed")


def query_checks(answer: Mapping[str, Any]) -> list[Shown]:
    """The checks of `POST /admin/query_perms_check`; those of the fields of hidden entities are
    left out."""
    found = []
    hidden: set[str] = set()
    for check in answer["check-results"]:
        explanation, label = check["explanation"], check["label"]
        if label is not None and check["id"] in hidden:
            continue
        if label is None and not explanation["allowed"]:
            hidden.add(check["id"])
        kind = check["entity"] if label is None else f"{check['entity']}.{label}"
        verdict = "visible" if explanation["allowed"] else "hidden"
        verdict = "error" if explanation["error"] else verdict
        found.append(Shown(verdict, f"{kind} {check['id']}", kind, explanation))
    return found


def transact_checks(answer: Mapping[str, Any]) -> list[Shown]:
    """The checks of `POST /admin/transact_perms_check`."""
    found = []
    for check in answer["check-results"]:
        link = "" if check["label"] is None else f".{check['label']}"
        kind = f"{check['action']} {check['etype']}{link}"
        verdict = "allowed" if check["check-pass?"] else "denied"
        verdict = "error" if check["error"] else verdict
        found.append(Shown(verdict, f"{kind} {check['eid']}", kind, check["explanation"]))
    return found


def report(checks: Sequence[Shown]) -> Iterator[str]:
    """First the refusals, explained; then all checks, counted by rule."""
    told: Counter[tuple[str, str]] = Counter()
    for check in checks:
        key = (check.kind, rule_name(check.explanation))
        if check.is_allowed or told[key] == _EXPLAINED_EACH:
            continue
        told[key] += 1
        yield f"{verdict_word(check.verdict)}{check.subject}"
        yield from (f"  {line}" for line in explanation_lines(check.explanation))
        yield ""
    counts = Counter((each.verdict, each.kind, rule_name(each.explanation)) for each in checks)
    rows = [
        (verdict, _counted(kind, count), rule)
        for (verdict, kind, rule), count in counts.items()
        if verdict in ("visible", "allowed") or count > _EXPLAINED_EACH
    ]
    width = max((len(counted) for _, counted, _ in rows), default=0)
    for verdict, counted, rule in rows:
        yield f"{verdict_word(verdict)}{counted:<{width}}  by {rule}"


def _counted(kind: str, count: int) -> str:
    return f"{kind} × {count}"


def verdict_word(verdict: str) -> str:
    """The verdict, padded and coloured."""
    return click.style(_LABEL.format(verdict), fg=_COLORS[verdict], bold=True)


def rule_name(explanation: Mapping[str, Any]) -> str:
    """The place of the rule in the document, or why there is none."""
    match explanation["origin"]:
        case "rule":
            return str(explanation["rule"])
        case "built-in":
            return "the built-in rule of this system namespace"
        case _:
            return "the app's default: no rule says anything about this"


def explanation_lines(explanation: Mapping[str, Any]) -> Iterator[str]:
    """One explanation, with its labels on the left."""
    yield from _labelled("rule", _rule_lines(explanation))
    yield from _labelled("values", _value_lines(explanation["values"]))
    error = explanation["error"]
    if error is not None:
        yield from _labelled("error", _error_lines(error))
    if not explanation["allowed"]:
        yield from _labelled("needed", _need_lines(explanation))


def told_lines(told: Mapping[str, Any] | None) -> Iterator[str]:
    """The error of the real query or transaction, if it is refused."""
    if told is not None:
        yield from _labelled("told", iter((f"{told['type']}: {told['message']}",)))


def print_warnings(warnings: Sequence[Mapping[str, Any]]) -> None:
    """Print probable mistakes in the rules to standard error; scripts read standard output."""
    for warning in warnings[:_WARNINGS_SHOWN]:
        where = ".".join(map(str, warning["in"]))
        message = str(warning["message"])
        # The text of a fault of an expression begins with its path already.
        prefix = "" if not where or message.startswith(where) else f"{where}: "
        click.echo(f"{verdict_word('warning')}{prefix}{message}", err=True)
        if warning.get("hint"):
            click.echo(" " * len(_LABEL.format("")) + str(warning["hint"]), err=True)
    if len(warnings) > _WARNINGS_SHOWN:
        left = len(warnings) - _WARNINGS_SHOWN
        click.echo(f"{verdict_word('warning')}{left} warnings more; --json has them all", err=True)


def _rule_lines(explanation: Mapping[str, Any]) -> Iterator[str]:
    yield rule_name(explanation)
    if explanation["origin"] == "default":
        return
    yield from explanation["source"].strip().splitlines()
    for name, source in explanation["binds"].items():
        yield from f"{name} = {source.strip()}".splitlines()


def _labelled(label: str, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield click.style(_LABEL.format(label), dim=True) + line
        label = ""


def _value_lines(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shown = [
        (
            _cut(value["text"], _PART_CHARS),
            f"error: {value['error']}" if "error" in value else _json(value["value"]),
            value["note"],
        )
        for value in values
    ]
    text_width = max((len(text) for text, _, _ in shown), default=0)
    value_width = max((len(value) for _, value, note in shown if note), default=0)
    for text, value, note in shown:
        end = f"{value:<{value_width}}  ({note})" if note else value
        yield f"{text:<{text_width}}  {end}"


def _json(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), _VALUE_CHARS)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _error_lines(error: Mapping[str, Any]) -> Iterator[str]:
    yield error["message"]
    if error["part"] is not None:
        bind = f" of {error['bind']}" if error["bind"] is not None else ""
        yield f"at {error['part']} (line {error['line']}, column {error['column']}{bind})"


def _need_lines(explanation: Mapping[str, Any]) -> Iterator[str]:
    """What would have had to be true, one line for each part at the top."""
    need = explanation["needed"]
    if need is None:
        is_rule = explanation["origin"] == "rule"
        yield "another rule; no values satisfy this one" if is_rule else "a rule that allows it"
        return
    for kind, word in (("all", "and"), ("any", "or")):
        for index, part in enumerate(need.get(kind, ())):
            yield f"{word} {_need_text(part)}" if index else _need_text(part)
    if "condition" in need:
        yield need["condition"]


def _need_text(need: Mapping[str, Any]) -> str:
    """A need on one line."""
    if "condition" in need:
        return str(need["condition"])
    kind, word = ("all", " and ") if "all" in need else ("any", " or ")
    return f"({word.join(map(_need_text, need[kind]))})"
