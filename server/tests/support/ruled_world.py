"""A database with random rules, and the naive model beside it, which finds what callers may see."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from model.masked import masked
from model.state import Model
from model.transact import Rejected, transact
from support.engines import open_database
from support.runtime import FakeRuntime
from support.world import Step, World, schema_steps, seed_steps
from trice.database import Database, Look
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import AttrId, EntityId
from trice.rules.document import Rules
from trice.rules.judge import Caller
from trice.rules.visible import RuledVisibility

NICKS = ("a1", "Zz", "é")
NICK = {"valueType": "string", "required": False, "config": {"indexed": True, "unique": False}}
SCHEMA = {"entities": {"$users": {"attrs": {"nick": NICK}}}, "links": {}}


class RuledWorld:
    """One app twice. Users have the ids of entities; rules can compare them."""

    def __init__(self, world: World, database: Database, runtime: FakeRuntime) -> None:
        self.world = world
        self.database = database
        self.runtime = runtime
        self.model = Model()
        self.document: Any = None
        ids = [world.ids[etype][0] for etype in world.etypes]
        self.users = [ids[0], ids[-1]]
        self.callers = [
            GUEST,
            Identity("guest", None, ip="10.0.0.1", origin="https://b.test"),
            *(Identity("user", EntityId(bytes.fromhex(one.replace("-", "")))) for one in ids),
        ]

    @classmethod
    async def open(cls, world: World, path: Path) -> RuledWorld:
        runtime = FakeRuntime()
        database = await open_database(
            path, runtime=runtime, rules=Rules.parse(None), app_id="app", schema=SCHEMA
        )
        self = cls(world, database, runtime)
        await self.write(schema_steps(world))
        for number, user in enumerate(self.users):
            await self.rename(user, f"u{number}@a.b", NICKS[0])
        for steps in seed_steps(world):
            await self.write(steps)
        return self

    async def rename(self, user: str, email: str, nick: str) -> None:
        """Make a user, or give one another name, which rules read."""
        values = {"email": email, "nick": nick}
        await self.database.transact_admin([["update", "$users", user, values]], identity=ADMIN)

    async def write(self, steps: list[Step], identity: Identity = ADMIN) -> TriceError | None:
        """Apply on both, if both accept; return the refusal of the database."""
        self.runtime.now += 1
        model: Model | None = None
        try:
            model = transact(self.model, steps, now_ms=self.runtime.now, new_id=lambda *_: "nobody")
        except Rejected:
            if identity.is_admin:
                return None
        if any(isinstance(step[1], list) for step in steps):
            return None  # lookups make ids that the model does not know
        try:
            await self.database.transact(steps, identity=identity)
        except TriceError as refusal:
            assert not identity.is_admin, refusal.message
            return refusal
        assert model is not None, f"the model rejects {steps}"
        self.model = model
        return None

    def set_rules(self, document: Any) -> None:
        self.document = document
        self.database.set_rules(Rules.parse(document))

    async def seen_by(self, identity: Identity, params: dict[str, Any]) -> Model:
        """The model's data as a caller may see it: every entity and field judged by itself."""
        model, rules = self.model, self.database.rules

        def work(look: Look) -> Model:
            judge = self.database.rights.judge(
                Caller(identity, params), look.statements, look.catalog
            )

            def met(program: Any, etype: str) -> frozenset[str]:
                found = set()
                for entity in model.entities(etype):
                    data = judge.entity(etype, EntityId(bytes.fromhex(entity.replace("-", ""))))
                    assert data is not None
                    if judge.allows(program, etype=etype, action="view", data=data):
                        found.add(entity)
                return frozenset(found)

            # Without a rule, links of holders that have no id triple count too.
            asked = RuledVisibility(rules, judge, look.catalog)
            shown: dict[str, frozenset[str]] = {}
            for attr_id in model.attrs:
                attr = look.catalog.by_id[AttrId(attr_id)]
                program = rules.find_field(attr.etype, attr.label)
                if program is not None and asked.field(attr):
                    shown[attr_id] = met(program, attr.etype)
            visible = {
                etype: met(rules.find(etype, "view"), etype)
                for etype in self.world.etypes
                if asked.entities(etype)
            }
            return masked(model, visible=visible, shown=shown)

        return await self.database.look(work)


def random_document(world: World) -> Any:
    """Rules for some namespaces and fields, with a bind; every expression has a value."""
    draw = world.random
    document: dict[str, Any] = {}
    for etype in world.etypes:
        section: dict[str, Any] = {}
        if draw.random() < 0.8:
            section["bind"] = {"mine": _rule(world, etype, 1)}
            view = _rule(world, etype, 2)
            section["allow"] = {"view": draw.choice((view, view, f"mine || ({view})"))}
            for action in ("create", "update", "delete"):
                section["allow"][action] = draw.choice(("true", "mine", _rule(world, etype, 1)))
        labels = [attr["forward-identity"][2] for attr in world.fields(etype)]
        labels += [label for label, _, is_forward, _ in world.links(etype) if is_forward]
        hidden = draw.sample(labels, min(len(labels), draw.choice((0, 0, 1, 2))))
        if hidden:
            section["fields"] = {label: _rule(world, etype, 1) for label in hidden}
        document[etype] = section
    return document


def _rule(world: World, etype: str, depth: int) -> str:
    draw = world.random
    if depth == 0 or draw.random() < 0.3:
        return _leaf(world, etype, draw)
    parts = [_rule(world, etype, depth - 1) for _ in range(2)]
    form = draw.choice(("({} && {})", "({} || {})", "({} || {})", "!({} && {})"))
    return form.format(*parts)


def _leaf(world: World, etype: str, draw: random.Random) -> str:
    fields, links = world.fields(etype), world.links(etype)
    kinds = ["caller", "mine", "data.id", "param"]
    kinds += ["field"] * 4 * bool(fields) + ["ref"] * 4 * bool(links)
    match draw.choice(kinds):
        case "field":
            attr = draw.choice(fields)
            label, sign = attr["forward-identity"][2], draw.choice(("==", "!=", "=="))
            other = draw.choice((json.dumps(world.value(attr)), "null", "auth.nick"))
            return f"data.{label} {sign} {other}"
        case "ref":
            label, attr, is_forward, far = draw.choice(links)
            if is_forward and attr["cardinality"] == "one" and draw.random() < 0.3:
                return f"data.{label} == auth.id"
            path = f"{label}.id"
            if world.fields(far) and draw.random() < 0.5:
                field = draw.choice(world.fields(far))
                path = f"{label}.{field['forward-identity'][2]}"
                value = json.dumps(world.value(field))
                return f"{value} in data.ref('{path}')"
            if draw.random() < 0.4:
                # A path that the entity chooses: only Python can follow it.
                return f"data.ref(data.id > '8' ? '{path}' : 'id') != [data.id]"
            return draw.choice((f"auth.id in data.ref('{path}')", f"size(data.ref('{path}')) > 1"))
        case "caller":
            return draw.choice(
                ("auth.id != null", "auth.nick == 'a1'", "request.origin == 'https://b.test'")
            )
        case "mine":
            return "auth.id == data.id"
        case "param":
            return "ruleParams.k == 1"
        case _:
            return f"data.id > '{draw.choice('2468ace')}'"
