"""Random transactions of a stranger on two databases that differ only in what is hidden from them.

Every answer is the same to the byte: its code, its message, its hint. Left out is what tells by its
nature that a value or an id is taken: creating with it, or linking to an id (spec/rules.md, "What
is protected beyond Instant, and what is not"). `TRICE_FUZZ_SECONDS` adds seeds for that long; a
failure names its seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.ruled_app import RuledApp
from support.seeds import seeds
from support.transact_app import App, uid
from trice.errors import TriceError

GROUPS = 2
TRANSACTIONS = 40
STRANGER = 1
SHOWN = (1, 2, 3)
HIDDEN = (4, 5, 6)
MADE = (7, 8)

Row = dict[str, Any]
VIEWS: dict[str, Callable[[Row, Any], bool]] = {
    "data.open == true": lambda row, me: row.get("open") is True,
    "data.x != 1": lambda row, me: row.get("x") != 1,
    "!(data.x in [1, 2])": lambda row, me: row.get("x") not in (1, 2),
    "auth.id == data.owner": lambda row, me: row.get("owner") == me,
    "auth.id != null && data.owner == auth.id": lambda row, me: me and row.get("owner") == me,
    "data.owner == null || data.owner == auth.id": lambda row, me: row.get("owner") in (None, me),
}
MORE = ("true", "data.x != 3", "ruleParams.k == 1", "auth.id != null", "data.id != null")
KINDS = (
    *("set", "strict", "strict", "delete", "retract", "link", "unlink", "unlink"),
    *("strict link", "strict link", "unlink from lookup", "unlink from lookup"),
    *("lookup's own", "id by lookup"),
)
LABELS = (("notes", "one"), ("notes", "many"))


def make_app(path: Path) -> App:
    app = App(path)
    attr = app.attr_json
    fields = [attr(etype, label) for etype in ("notes", "lists") for label in ("id", "x", "open")]
    fields += [attr(etype, "owner") for etype in ("notes", "lists")]
    fields += [attr(etype, "code", unique=True) for etype in ("notes", "lists")]
    fields.append(attr("notes", "one", to=("lists", "ones")))
    fields.append(attr("notes", "many", to=("lists", "manies"), cardinality="many"))
    app.transact([["add-attr", each] for each in fields])
    return app


def random_rules(draw: random.Random, views: dict[str, str]) -> dict[str, Any]:
    """Nobody may change what they do not see; who creates something is not told of others."""
    rules: dict[str, Any] = {}
    for etype, other in (("notes", "lists"), ("lists", "notes")):
        view = views[etype]
        allow: dict[str, Any] = {"view": view, "create": "true"}
        for action in ("update", "delete"):
            allow[action] = f"({view}) && {draw.choice(MORE)}"
        label = (
            draw.choice(("one", "many")) if etype == "notes" else draw.choice(("ones", "manies"))
        )
        of_other = views[other].replace("data.", "linkedData.")
        for action in ("link", "unlink"):
            if draw.random() < 0.4:
                allow[action] = {label: f"({view}) && ({of_other})"}
        rules[etype] = {"allow": allow}
    return rules


def random_row(draw: random.Random, me: Any) -> Row:
    row: Row = {
        "x": draw.choice((None, 0, 1, 2, 3)),
        "open": draw.choice((None, True, False)),
        "owner": draw.choice((None, me, uid(99))),
    }
    return {label: value for label, value in row.items() if value is not None}


def random_steps(app: App, draw: random.Random) -> Iterator[list[Any]]:
    """Whatever a client may send, for entities that are shown, hidden, or nowhere."""
    for _ in range(draw.randint(1, 3)):
        etype = draw.choice(("notes", "lists"))
        code = [app.attr(etype, "code").id, f"{etype}{draw.randint(1, 9)}"]
        anybody: Any = draw.choice((code, uid(draw.randint(1, 9))))
        mine = uid(draw.choice((*SHOWN, *MADE)))
        field = app.attr(etype, draw.choice(("x", "open"))).id
        value = draw.choice((1, 3, True))
        label = app.attr("notes", draw.choice(("one", "many"))).id
        by_code = [app.attr("notes", "code").id, f"notes{draw.randint(1, 9)}"]
        target: Any = [app.attr("lists", "code").id, f"lists{draw.randint(1, 9)}"]
        match draw.choice(KINDS):
            case "set":
                yield ["add-triple", mine, field, value]
                yield ["add-triple", mine, app.attr(etype, "id").id, mine]
            case "strict":
                op = draw.choice(("add-triple", "deep-merge-triple", "increment-triple"))
                yield [op, anybody, field, value, {"mode": "update"}]
            case "delete":
                yield ["delete-entity", anybody, etype]
            case "retract":
                yield ["retract-triple", draw.choice((code, mine)), field, value]
            case "link" | "unlink" as kind:
                op = "add-triple" if kind == "link" else "retract-triple"
                yield [op, uid(draw.choice(SHOWN)), label, target]
            case "strict link":
                source: Any = draw.choice((by_code, uid(draw.randint(1, 9))))
                target = draw.choice((target, uid(draw.choice(SHOWN))))
                yield ["add-triple", source, label, target, {"mode": "update"}]
            case "unlink from lookup":
                target = draw.choice((target, uid(draw.choice(SHOWN))))
                yield ["retract-triple", by_code, label, target]
            case "lookup's own":
                value = draw.choice((code[1], "new"))
                yield ["add-triple", code, code[0], value, {"mode": "update"}]
            case "id by lookup":
                id_attr, another = app.attr(etype, "id").id, uid(draw.choice((*SHOWN, *MADE)))
                yield ["add-triple", code, id_attr, another, {"mode": "update"}]
                yield ["retract-triple", code, id_attr, another]
        if draw.random() < 0.2:
            yield ["rule-params", anybody, etype, {"k": 1}]


def answer(ruled: RuledApp, steps: list[Any], user: int | None) -> bytes:
    try:
        ruled.act(steps, user=user)
    except TriceError as refusal:
        return orjson.dumps(refusal.body())
    return b"ok"


def fill(app: App, draw: random.Random, views: dict[str, str], me: Any, *, hidden: bool) -> None:
    """The same entities that are shown in both; in one others that are not."""
    for etype in ("notes", "lists"):
        sees = VIEWS[views[etype]]
        for number in (*SHOWN, *HIDDEN):
            is_hidden = number in HIDDEN
            row = random_row(draw, me)
            while bool(sees(row, me)) is is_hidden:
                row = random_row(draw, me)
            if hidden or not is_hidden:
                app.put(etype, number, code=f"{etype}{number}", **row)
    for label in ("one", "many"):
        for number in SHOWN:
            to = draw.choice(SHOWN)
            app.transact([["add-triple", uid(number), app.attr("notes", label).id, uid(to)]])


def story(seed: int, folder: Path) -> dict[str, int]:
    """One stranger, many transactions; return how often each code was answered."""
    draw = random.Random(seed)
    user = draw.choice((None, STRANGER))
    me = None if user is None else uid(user)
    possible = [
        view for view, sees in VIEWS.items() if sees({"open": True, "owner": me, "x": 3}, me)
    ]
    views = {etype: draw.choice(possible) for etype in ("notes", "lists")}
    counts: dict[str, int] = {}
    apps = [make_app(folder / f"{seed}-{name}.db") for name in ("full", "bare")]
    try:
        data_seed = draw.random()
        for app, hidden in zip(apps, (True, False), strict=True):
            fill(app, random.Random(data_seed), views, me, hidden=hidden)
        for _ in range(TRANSACTIONS):
            rules = random_rules(draw, views)
            steps_seed = draw.random()
            ids = [list(random_steps(app, random.Random(steps_seed))) for app in apps]
            full, bare = (
                answer(RuledApp(app, rules), steps, user)
                for app, steps in zip(apps, ids, strict=True)
            )
            assert full == bare, f"seed {seed}: {user} sends {ids[0]} under {rules}"
            code = full if full == b"ok" else orjson.loads(full)["type"].encode()
            counts[code.decode()] = counts.get(code.decode(), 0) + 1
    finally:
        for app in apps:
            app.close()
    return counts


@pytest.mark.rule("R200", "R201", "R202", "R203", "R204", "R220", "R221", "R222")
@pytest.mark.parametrize("group", range(GROUPS))
def test_no_answer_tells_what_is_hidden(group: int, tmp_path: Path) -> None:
    total: dict[str, int] = {}
    for seed in seeds((*range(9200, 9220), 1083205097), group=group, groups=GROUPS):
        for code, count in story(seed, tmp_path).items():
            total[code] = total.get(code, 0) + count
    assert total["ok"] > 20 and total["permission-denied"] > 20, total
