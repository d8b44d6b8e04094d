"""`$rooms`: what is refused when it is saved, who may do what, and memberships that end."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_database
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import room_rule_limits
from trice.database import Database
from trice.errors import InvalidInput, LimitExceeded, PermissionDenied, Unavailable
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import find_uuid_bytes
from trice.rules.document import Rules
from trice.rules.room_rights import RoomDeed, RoomWatch
from trice.rules.warnings import warnings_of

CHAT, OTHER = "c0000000-0000-4000-8000-000000000001", "c0000000-0000-4000-8000-000000000002"
ANN, BOB = "a0000000-0000-4000-8000-000000000001", "a0000000-0000-4000-8000-000000000002"
MEMBERS = "auth.id in room.ref('chats', 'members.user.id')"
RULES: dict[str, Any] = {
    "$rateLimits": {"waves": {"limits": [{"capacity": 1}]}},
    "$rooms": {
        "$default": {"bind": ["isMember", MEMBERS], "read": "isMember"},
        "chat": {
            "join": "isMember",
            "presence": "size(data.name) < 5",
            "publish": {
                "emoji": "isMember && data.kind in ['heart', 'star']",
                "wave": "rateLimit.waves.limit(auth.id)",
            },
        },
        "lobby": {"join": True, "read": "ruleParams.key == room.id", "publish": "data == 'hi'"},
    },
}
SCHEMA = {
    "entities": {
        "chats": {"attrs": {}},
        "memberships": {"attrs": {}},
    },
    "links": {
        "members": {
            "forward": {"on": "memberships", "has": "one", "label": "chat"},
            "reverse": {"on": "chats", "has": "many", "label": "members"},
        },
        "users": {
            "forward": {"on": "memberships", "has": "one", "label": "user"},
            "reverse": {"on": "$users", "has": "many", "label": "memberships"},
        },
    },
}


def user(entity: str) -> Identity:
    return Identity("user", find_uuid_bytes(entity))


def membership(number: int) -> str:
    return f"b0000000-0000-4000-8000-{number:012d}"


@pytest.fixture
async def database(tmp_path: Path, exits: AsyncExitStack) -> Database:
    """Ann is a member of CHAT, Bob of OTHER."""
    opened = await open_database(
        tmp_path / "app.db", runtime=FakeRuntime(), rules=Rules.parse(RULES), schema=SCHEMA
    )
    exits.push_async_callback(opened.close)
    await opened.change(
        lambda change: change.write(
            ["update", "$users", ANN, {"email": "ann@a.b"}],
            ["update", "$users", BOB, {"email": "bob@a.b"}],
        )
    )
    await write(
        opened,
        ["update", "chats", CHAT, {}],
        ["update", "chats", OTHER, {}],
        *joined(1, CHAT, ANN),
        *joined(2, OTHER, BOB),
    )
    return opened


def joined(number: int, chat: str, member: str) -> list[Any]:
    """Steps that make somebody a member."""
    return [
        ["update", "memberships", membership(number), {}],
        ["link", "memberships", membership(number), {"chat": chat, "user": member}],
    ]


async def write(database: Database, *steps: Any) -> None:
    await database.transact_admin(list(steps), identity=ADMIN)


async def refusal(database: Database, who: Identity, deed: RoomDeed) -> PermissionDenied | None:
    """Why `who` may not do it; None: allowed."""
    try:
        await database.room_rights.may(who, deed)
    except PermissionDenied as denied:
        return denied
    return None


def faults(rooms: Any) -> list[tuple[list[str], str]]:
    with pytest.raises(InvalidInput) as caught:
        Rules.parse({"$rooms": rooms})
    return [(entry["in"], entry["message"]) for entry in caught.value.hint["errors"]]


# --- the document ---------------------------------------------------------------------------------


@pytest.mark.rule("M103")
@pytest.mark.parametrize(
    ("rooms", "path", "message"),
    [
        (3, ["$rooms"], "must be an object"),
        ({"chat": True}, ["$rooms", "chat"], "must be an object"),
        ({"chat": {"view": "true"}}, ["$rooms", "chat", "view"], "may have bind, join"),
        ({"chat": {"join": "auth.id =="}}, ["$rooms", "chat", "join"], "$rooms.chat.join: "),
        ({"chat": {"join": 3}}, ["$rooms", "chat", "join"], "must be an expression"),
        ({"chat": {"publish": {"a": "nobody"}}}, ["$rooms", "chat", "publish", "a"], "nobody"),
        ({"chat": {"bind": ["a"]}}, ["$rooms", "chat", "bind"], "even number"),
        ({"chat": {"bind": {"a": "("}}}, ["$rooms", "chat", "bind", "a"], "bind.a: "),
        (
            {"chat": {"bind": {"a": "b", "b": "a"}, "join": "a"}},
            ["$rooms", "chat", "join"],
            "Cyclic",
        ),
        ({"chat": {"bind": ["a", "1", "a", "2"]}}, ["$rooms", "chat", "bind", "a"], "once"),
    ],
)
def test_faults_are_refused_at_their_paths(rooms: Any, path: list[str], message: str) -> None:
    [(where, told)] = faults(rooms)
    assert where == path
    assert message in told


@pytest.mark.rule("M103")
@pytest.mark.parametrize("broken", [{"chat": {"join": "("}}, {"chat": 3}])
def test_what_has_a_fault_in_a_stored_document_denies(broken: Any) -> None:
    document = {"$rooms": {"$default": {"join": "true"}, **broken}}
    rooms = Rules.parse(document, is_stored=True).rooms
    assert rooms is not None
    found = rooms.find("join", "chat", None)
    assert found is not None
    assert found.program.expression.source == "false"


@pytest.mark.rule("M105", "M106")
@pytest.mark.parametrize(
    ("action", "expression", "reason"),
    [
        ("join", "room.ref(room.type, 'id') == []", "plain strings"),
        ("join", "room.name == 'a'", "name"),
        ("join", "rateLimit.waves.limit(1)", "waves"),
        ("read", "rateLimit.waves.limit(1)", "waves"),
    ],
)
def test_names_that_an_action_lacks(action: str, expression: str, reason: str) -> None:
    [(where, told)] = faults({"chat": {action: expression}})
    assert where == ["$rooms", "chat", action]
    assert reason in told


@pytest.mark.rule("M108")
async def test_warnings(database: Database) -> None:
    rules = {"a": {"join": "true"}, "b": {"presence": "room.ref('chats', 'member.id') == []"}}
    told = warnings_of(Rules.parse({"$rooms": rules}), database.catalog)
    assert [(each.path, each.message) for each in told] == [
        (("$rooms", "a"), "Nobody can be a member of these rooms: `read` is not named."),
        (("$rooms", "b", "presence"), "ref('member.id'): `chats` has no link `member`."),
    ]
    assert warnings_of(Rules.parse(RULES), database.catalog) == []


# --- judgements -----------------------------------------------------------------------------------


@pytest.mark.rule("M100")
async def test_without_rules_of_rooms_rooms_are_open(database: Database) -> None:
    deed = RoomDeed("join", "unknown", "1")
    assert await refusal(database, GUEST, deed) is not None
    assert await refusal(database, ADMIN, deed) is None
    database.set_rules(Rules.parse({"$default": {"allow": {"$default": "false"}}}))
    assert await refusal(database, GUEST, deed) is None


@pytest.mark.rule("M100", "M101", "M102", "M105")
@pytest.mark.parametrize(
    ("who", "deed", "is_allowed"),
    [
        (ANN, RoomDeed("join", "chat", CHAT), True),
        (BOB, RoomDeed("join", "chat", CHAT), False),
        (BOB, RoomDeed("join", "chat", OTHER), True),
        (ANN, RoomDeed("join", "chat", "no-entity"), False),
        (ANN, RoomDeed("read", "unnamed", CHAT), True),
        (ANN, RoomDeed("join", "unnamed", CHAT), False),
        (ANN, RoomDeed("publish", "chat", CHAT, "emoji", {"kind": "heart"}), True),
        (BOB, RoomDeed("publish", "chat", CHAT, "emoji", {"kind": "heart"}), False),
        (ANN, RoomDeed("publish", "chat", CHAT, "emoji", {"kind": "bomb"}), False),
        (ANN, RoomDeed("publish", "chat", CHAT, "other", {"kind": "heart"}), False),
        (ANN, RoomDeed("publish", "lobby", "1", "any", "hi"), True),
        (ANN, RoomDeed("publish", "lobby", "1", "any", {"x": 1}), False),
        (ANN, RoomDeed("presence", "chat", CHAT, None, {"name": "Ann"}), True),
        (ANN, RoomDeed("presence", "chat", CHAT, None, {"name": "Annabel"}), False),
    ],
)
async def test_the_rule_that_decides(
    database: Database, who: str, deed: RoomDeed, is_allowed: bool
) -> None:
    assert (await refusal(database, user(who), deed) is None) is is_allowed


@pytest.mark.rule("M104", "M107")
async def test_a_member_needs_join_and_read(database: Database) -> None:
    lobby = RoomDeed("join", "lobby", "k", rule_params={"key": "k"})
    assert await refusal(database, GUEST, lobby) is None
    denied = await refusal(database, GUEST, RoomDeed("join", "lobby", "k"))
    assert denied is not None
    assert denied.hint["input"] == ["$rooms", "lobby", "read"]


@pytest.mark.rule("M110")
async def test_what_a_denied_caller_is_told(database: Database) -> None:
    denied = await refusal(database, GUEST, RoomDeed("join", "chat", CHAT))
    assert denied is not None
    assert denied.code == "permission-denied"
    assert denied.hint == {"input": ["$rooms", "chat", "join"], "expected": "perms-pass?"}
    failed = await refusal(database, GUEST, RoomDeed("presence", "chat", CHAT, None, {}))
    assert failed is not None
    assert failed.code == "permission-evaluation-failed"


@pytest.mark.rule("M106")
async def test_messages_take_tokens(database: Database) -> None:
    wave = RoomDeed("publish", "chat", CHAT, "wave")
    await database.room_rights.may(user(ANN), wave)
    with pytest.raises(LimitExceeded):
        await database.room_rights.may(user(ANN), wave)


# --- memberships that end -------------------------------------------------------------------------


async def settled(database: Database) -> None:
    """Wait until no membership waits to be judged."""
    while (task := database.room_rights.task) is not None:
        await task


class Member:
    """A watched membership, how often it was kept, and why it ended."""

    def __init__(self, who: str, chat: str) -> None:
        self.lost: asyncio.Future[PermissionDenied] = asyncio.get_running_loop().create_future()
        self.identity = user(who)
        self.deed = RoomDeed("join", "chat", chat)
        self.kept = 0
        self.watch: RoomWatch

    @classmethod
    async def join(cls, database: Database, who: str, chat: str) -> Member:
        member = cls(who, chat)
        member.watch = await database.room_rights.watch(member)
        return member

    def on_kept(self) -> None:
        self.kept += 1

    def on_lost(self, denied: PermissionDenied) -> None:
        self.lost.set_result(denied)

    async def ended(self) -> PermissionDenied:
        return await asyncio.wait_for(self.lost, WAIT_S)


@pytest.mark.rule("M111")
@pytest.mark.parametrize(
    "step",
    [
        ["delete", "memberships", membership(1), {}],
        ["unlink", "memberships", membership(1), {"chat": CHAT}],
        ["unlink", "memberships", membership(1), {"user": ANN}],
        ["link", "memberships", membership(1), {"user": BOB}],
        ["link", "memberships", membership(1), {"chat": OTHER}],
        ["delete", "chats", CHAT, {}],
        ["delete", "$users", ANN, {}],
    ],
)
async def test_a_commit_that_takes_the_right_ends_the_membership(
    database: Database, step: Any
) -> None:
    ann, bob = await Member.join(database, ANN, CHAT), await Member.join(database, BOB, OTHER)
    if step[1] == "$users":
        await database.change(lambda change: change.write(step))
    else:
        await write(database, step)
    assert (await ann.ended()).hint["input"] == ["$rooms", "chat", "join"]
    assert not bob.lost.done()
    assert len(database.room_rights) == 1


@pytest.mark.rule("M111")
async def test_new_rules_judge_every_membership(database: Database) -> None:
    ann = await Member.join(database, ANN, CHAT)
    rooms = {**RULES["$rooms"], "chat": {"join": "false"}}
    database.set_rules(Rules.parse({"$rooms": rooms}))
    await ann.ended()


@pytest.mark.rule("M111")
async def test_memberships_under_open_rooms_are_judged_once_there_are_rules(
    database: Database,
) -> None:
    database.set_rules(Rules.parse(None))
    bob = await Member.join(database, BOB, CHAT)
    database.set_rules(Rules.parse(RULES))
    await bob.ended()


@pytest.mark.rule("M111")
async def test_a_denied_join_and_a_stopped_watch_leave_nothing_behind(database: Database) -> None:
    with pytest.raises(PermissionDenied):
        await Member.join(database, BOB, CHAT)
    assert len(database.room_rights) == 0
    ann = await Member.join(database, ANN, CHAT)
    second = await Member.join(database, ANN, CHAT)
    ann.watch.stop()
    await write(database, ["delete", "memberships", membership(1), {}])
    await second.ended()
    assert not ann.lost.done()


@pytest.mark.rule("M112")
async def test_many_commits_are_judged_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = database.room_rights
    ann, bob = await Member.join(database, ANN, CHAT), await Member.join(database, BOB, OTHER)
    judged: list[RoomWatch] = []
    judge = rights.judge_membership

    async def counting(watch: RoomWatch) -> bool:
        judged.append(watch)
        return await judge(watch)

    monkeypatch.setattr(rights, "judge_membership", counting)
    for number in range(10, 15):
        rights.judge_again()
        await write(database, *joined(number, CHAT, BOB))
        rights.judge_again()
    await settled(database)
    judged.clear()
    kept = ann.kept
    for _ in range(5):
        rights.judge_again()
    await settled(database)
    assert judged == [ann.watch, bob.watch]
    assert ann.kept == kept + 1
    assert not ann.lost.done()


@pytest.mark.rule("M111")
async def test_commits_that_no_rule_read_judge_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Member.join(database, ANN, CHAT)
    await settled(database)
    waiting: list[object] = []
    monkeypatch.setattr(database.room_rights, "judge_membership", waiting.append)
    await write(database, ["update", "chats", membership(99), {}])
    await write(database, *joined(10, OTHER, BOB)[:1])
    assert not database.room_rights.pending
    assert not waiting


@pytest.mark.rule("M113")
async def test_a_membership_that_cannot_be_judged_lasts_until_it_can(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = database.room_rights
    ann = await Member.join(database, ANN, CHAT)
    judge, failures = rights.judge, [1, 2, 3]

    async def failing(identity: Identity, deed: RoomDeed) -> Any:
        if failures:
            failures.pop()
            assert not ann.lost.done()
            raise Unavailable("overloaded", "No room for reads.")
        return await judge(identity, deed)

    monkeypatch.setattr(rights, "judge", failing)
    await write(database, ["delete", "memberships", membership(1), {}])
    await ann.ended()
    assert not failures


@pytest.mark.rule("M112")
async def test_many_memberships_end_over_several_turns(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_rule_limits, "ROOM_JUDGEMENTS_PER_TURN", 2)
    members = [await Member.join(database, ANN, CHAT) for _ in range(7)]
    turns: list[int] = []
    database.set_rules(Rules.parse({"$rooms": {}}))
    while len(database.room_rights):
        await asyncio.sleep(0)
        turns.append(len(database.room_rights))
    assert all(before - after <= 2 for before, after in itertools.pairwise(turns))
    assert all(member.lost.done() for member in members)
