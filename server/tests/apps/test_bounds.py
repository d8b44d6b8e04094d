"""What apps may cost: files open, rows decoded, rules compiled.

A little over 500 lines, one file because all of it is about the same bounds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import weakref
from typing import Any

import orjson
import pytest

from trice import function_limits, limits
from trice.api.connections import descriptors_for_apps
from trice.apps import compile, registry
from trice.database import Database
from trice.errors import InvalidInput, NotFound, Unavailable
from trice.identity import ADMIN
from trice.rules.document import Rules
from trice.server import files_for_apps

HOUR_MS = 3_600_000
RULES = {"todos": {"allow": {"view": "auth.id != null"}}}


def uid(number: int) -> str:
    return f"e1000000-0000-4000-8000-{number:012d}"


def put(number: int, **values: Any) -> list[Any]:
    return [["update", "todos", uid(number), {"title": "a", **values}]]


def open_files() -> int:
    """Descriptors of this process that lead to a database."""
    found = 0
    for entry in os.listdir("/dev/fd"):
        try:
            found += os.readlink(f"/dev/fd/{entry}").partition(" ")[0].endswith((".db", "-wal"))
        except OSError:
            continue
    return found


def writer_threads() -> int:
    return sum(thread.name == "trice-writer" for thread in threading.enumerate())


# --- files --------------------------------------------------------------------------------------


@pytest.mark.rule("S102")
async def test_making_apps_keeps_to_the_files_there_are(stage):
    await stage.reopen(files_max=3)
    made = [await stage.make() for _ in range(8)]
    assert stage.apps.files <= 3
    used = [(await stage.apps.create(title="x"))[0] for _ in range(3)]
    with pytest.raises(Unavailable) as refused:
        await stage.apps.create(title="x")
    assert refused.value.code == "overloaded"
    with pytest.raises(Unavailable):
        await stage.apps.lend(made[0])
    assert stage.apps.files == 3
    stage.apps.give_back(used[0])
    app, _ = await stage.apps.create(title="x")
    assert (stage.apps.files, app.users) == (3, 1)


@pytest.mark.rule("S102", "S103", "H16")
@pytest.mark.parametrize("seed", range(3))
async def test_files_are_counted_right_whatever_happens_at_once(stage, seed):
    draw = random.Random(seed)

    async def come_and_go(stage, ids):
        for _ in range(12):
            try:
                match draw.randrange(6):
                    case 0:
                        life_ms = draw.choice((None, HOUR_MS))
                        app, _ = await stage.apps.create(title="x", life_ms=life_ms)
                        ids.append(app.id)
                        stage.apps.give_back(app)
                    case 1 if len(ids) > 4:
                        await stage.apps.delete(ids.pop(draw.randrange(len(ids))))
                    case 2:
                        stage.runtime.advance(limits.EPHEMERAL_APP_IDLE_MS)
                        stage.apps.close_old()
                    case 3:
                        # Somebody who goes away while the app is being opened.
                        lending = asyncio.ensure_future(stage.apps.lend(draw.choice(ids)))
                        await asyncio.sleep(0)
                        if not lending.cancel():
                            stage.apps.give_back(await lending)
                    case _:
                        app = await stage.apps.lend(draw.choice(ids))
                        await app.database.transact_admin(put(1), identity=ADMIN)
                        stage.apps.give_back(app)
            except (NotFound, Unavailable):
                pass
            assert stage.apps.files <= 4

    await stage.reopen(files_max=4)
    ids = [await stage.make() for _ in range(3)]
    await asyncio.gather(*(come_and_go(stage, ids) for _ in range(8)))
    apps = stage.apps
    await apps.close()
    assert apps.files == 0
    assert {name.removesuffix(".db") for name in stage.files()} == set(ids)
    await stage.reopen()
    for app_id in ids:
        stage.apps.give_back(await stage.apps.lend(app_id))


@pytest.mark.rule("S103")
async def test_throw_away_apps_keep_no_app_that_lasts_from_being_opened(stage):
    own = await stage.make()
    await stage.reopen(files_max=6)
    for _ in range(3):
        await stage.apps.create(title="x", life_ms=HOUR_MS)
    with pytest.raises(Unavailable):
        await stage.apps.create(title="x", life_ms=HOUR_MS)
    assert (await stage.apps.lend(own)).id == own
    await stage.apps.create(title="mine")


@pytest.mark.rule("S103")
async def test_throw_away_apps_in_use_are_few_enough_for_memory(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_APPS_OPEN_MAX", 3)
    stage = await open_stage()
    used = [(await stage.apps.create(title="x", life_ms=HOUR_MS))[0] for _ in range(3)]
    with pytest.raises(Unavailable) as refused:
        await stage.apps.create(title="x", life_ms=HOUR_MS)
    assert refused.value.code == "overloaded"
    for _ in range(5):
        await stage.apps.create(title="lasts")
    stage.apps.give_back(used[0])
    await stage.apps.create(title="x", life_ms=HOUR_MS)
    with pytest.raises(Unavailable):
        await stage.apps.lend(used[0].id)


@pytest.mark.rule("S104")
async def test_many_throw_away_apps_leave_few_databases_open(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_APPS_IDLE_MAX", 4)
    stage = await open_stage()
    await stage.apps.delete(await stage.make())  # the list of apps has its files and thread
    threads, before = writer_threads(), open_files()
    made = []
    for number in range(30):
        app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
        made.append(app.id)
        await app.database.transact_admin(put(number), identity=ADMIN)
        stage.apps.give_back(app)
    await stage.apps.settled()
    assert stage.apps.files == 4
    # Of each: file and log, for the writer and for short reads.
    assert open_files() - before == 4 * 4
    assert writer_threads() <= threads + 4
    # The first, closed long ago, is opened again by whoever wants it.
    first = await stage.apps.lend(made[0])
    found = await first.database.query_nested({"todos": {}}, identity=ADMIN)
    assert len(orjson.loads(found)["todos"]) == 1


@pytest.mark.rule("S105")
async def test_databases_that_nobody_uses_close_by_age(stage):
    kept = await stage.apps.lend(await stage.make())
    stage.apps.give_back(await stage.apps.lend(await stage.make()))
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
    stage.apps.give_back(app)
    stage.apps.close_old()
    assert stage.apps.files == 3
    stage.runtime.advance(limits.EPHEMERAL_APP_IDLE_MS)
    stage.apps.close_old()
    await stage.apps.settled()
    assert stage.apps.files == 2
    stage.runtime.advance(limits.APP_IDLE_MS)
    stage.apps.close_old()
    await stage.apps.settled()
    assert stage.apps.files == 1
    await kept.database.transact_admin(put(1), identity=ADMIN)


@pytest.mark.rule("S106")
def test_files_for_apps_leave_descriptors_for_connections():
    for descriptors in (64, 256, 1_024, 65_536):
        taken = files_for_apps(descriptors, workers=4) * limits.APP_FILE_DESCRIPTORS
        assert 0 < taken <= descriptors // 2
    held = 4 * function_limits.PURE_CALLS * function_limits.HELD_DESCRIPTORS
    assert taken + held <= descriptors_for_apps(65_536), "of functions that hold snapshots"
    assert files_for_apps(8, workers=4) == 1


@pytest.mark.rule("S107")
async def test_a_closed_database_is_free_without_a_collection(stage):
    app, _ = await stage.apps.create(title="x")
    await app.database.transact_admin(put(1), identity=ADMIN)
    stage.apps.give_back(app)
    database = app.database
    parts = [weakref.ref(part) for part in (database, database.live, database.catalog)]
    del app, database
    gc.collect()
    gc.disable()
    try:
        await stage.apps.close()
        await asyncio.sleep(0)
        assert [part() for part in parts] == [None, None, None]
    finally:
        gc.enable()


# --- rows and rules -----------------------------------------------------------------------------


@pytest.mark.rule("S108")
async def test_the_row_of_an_app_is_decoded_once_for_each_change(stage, monkeypatch):
    decoded = []
    loads = registry.orjson.loads

    class Counting:
        dumps = staticmethod(orjson.dumps)

        @staticmethod
        def loads(text: Any) -> Any:
            decoded.append(text)
            return loads(text)

    app_id = await stage.make(rules=RULES)
    await stage.reopen()
    monkeypatch.setattr(registry, "orjson", Counting)
    for _ in range(20):
        assert stage.apps.get_row(app_id).rules == RULES
        stage.apps.give_back(await stage.apps.lend(app_id.upper()))
    assert len(decoded) == 1
    await stage.apps.set_rules(app_id, None)
    assert stage.apps.get_row(app_id).rules is None
    other = {"posts": {"allow": {"view": "true"}}}
    await stage.apps.set_rules(app_id, other)
    for _ in range(3):
        assert stage.apps.get_row(app_id).rules == other
    assert len(decoded) == 2
    await stage.apps.delete(app_id)
    with pytest.raises(Exception, match="not found"):
        stage.apps.get_row(app_id)


@pytest.mark.rule("S108")
async def test_rows_are_kept_within_bounds(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "APP_ROWS_KEPT", 3)
    stage = await open_stage()
    ids = [await stage.make(rules=RULES) for _ in range(6)]
    for _ in range(2):
        assert [stage.apps.get_row(each).id for each in ids] == ids
        assert len(stage.apps._registry._rows) == 3
    monkeypatch.setattr(limits, "APP_ROWS_KEPT_BYTES_MAX", 10)
    assert stage.apps.get_row(ids[0]).rules == RULES
    assert len(stage.apps._registry._rows) == 0


@pytest.mark.rule("S109")
async def test_rules_are_compiled_once_for_each_change(stage, monkeypatch):
    compiled = []
    parse = Rules.parse

    def counting(document: Any, **options: Any) -> Rules:
        compiled.append(document)
        return parse(document, **options)

    app_id = await stage.make(rules=RULES)
    monkeypatch.setattr(Rules, "parse", counting)
    for _ in range(3):
        await stage.apps.set_rules(app_id, RULES)
        app = await stage.apps.lend(app_id)
        assert app.database.rules.source == RULES
        stage.apps.give_back(app)
        stage.runtime.advance(limits.APP_IDLE_MS)
        stage.apps.close_old()
        await stage.apps.settled()
    assert compiled == []
    await stage.apps.set_rules(app_id, {"todos": {"allow": {"view": True}}})
    with pytest.raises(InvalidInput):  # 1 is not true, though Python thinks so
        await stage.apps.set_rules(app_id, {"todos": {"allow": {"view": 1}}})
    assert len(compiled) == 2


@pytest.mark.rule("S110")
async def test_compiling_has_a_queue_of_its_own(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "RULES_SAVES_WAITING_MAX", 3)
    gate = threading.Event()
    parse = Rules.parse
    order: list[Any] = []

    def held(document: Any, **options: Any) -> Rules:
        if document is not None and "held" in document:
            gate.wait()
            order.append(document["held"])
        return parse({}, **options)

    stage = await open_stage()
    app_id = await stage.make()
    plain = await stage.make(rules=RULES)
    await stage.reopen()
    app = await stage.apps.lend(app_id)
    monkeypatch.setattr(Rules, "parse", held)
    documents = [{"held": {"n": number}} for number in range(3)]
    saving = [
        asyncio.ensure_future(stage.apps.set_rules(app_id, document)) for document in documents
    ]
    try:
        for _ in range(5):
            await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await stage.apps.set_rules(app_id, {"held": {"n": 9}})
        assert refused.value.code == "overloaded"
        # Meanwhile apps are opened, those with rules too.
        stage.apps.give_back(await stage.apps.lend(plain))
    finally:
        gate.set()
    await asyncio.gather(*saving)
    assert order == [document["held"] for document in documents]
    assert stage.apps.get_row(app_id).rules == documents[-1]
    stage.apps.give_back(app)


def wide(count: int) -> dict[str, Any]:
    return {f"n{number}": {} for number in range(count)}


def amplified() -> dict[str, Any]:
    """60 kB of rules whose binds are 3,800,000 parts once they stand where they are used."""
    bind = "[" + ",".join(["1"] * 1_900) + "].size() > 0"
    fields = {f"f{number}": f"b && data.x == {number}" for number in range(1_900)}
    return {"t": {"bind": {"b": bind}, "fields": fields}}


@pytest.mark.rule("S111")
@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"t": {"ignored": "x" * limits.RULES_BYTES_MAX}}, "bytes of JSON"),
        ({"t": {"ignored": [[]] * limits.RULES_VALUES_MAX}}, "values and objects"),
        (wide(limits.RULES_VALUES_MAX + 1), "values and objects"),
        (orjson.loads("[" * 500 + "]" * 500), "nest less deeply"),
        (amplified(), "parts"),
    ],
)
async def test_rules_are_bounded_in_bytes_and_parts(stage, document, said):
    app_id = await stage.make(rules=RULES)
    for saving in (
        stage.apps.set_rules(app_id, document),
        stage.apps.create(title="x", rules=document),
    ):
        with pytest.raises(InvalidInput, match=said) as refused:
            await saving
        assert refused.value.hint["data-type"] == "rule"
    assert stage.apps.get_row(app_id).rules == RULES
    assert len(stage.files()) == 3, "one app's file and its log"


async def test_closing_is_awaited(open_stage, monkeypatch):
    """What the tests above rest on: `settled` returns once nothing is being closed."""
    closed = []
    close = Database.close

    async def slow(database: Database) -> None:
        await asyncio.sleep(0)
        await close(database)
        closed.append(database)

    monkeypatch.setattr(Database, "close", slow)
    stage = await open_stage()
    await stage.make()
    stage.runtime.advance(limits.APP_IDLE_MS)
    stage.apps.close_old()
    await stage.apps.settled()
    assert len(closed) == 1
    assert stage.apps.files == 0


@pytest.mark.rule("S110")
async def test_the_rules_saved_last_hold_also_while_the_app_is_opened(stage):
    documents = [{f"n{number}": {"allow": {"view": "true"}}} for number in range(8)]
    app_id = await stage.make()
    await stage.reopen()
    await asyncio.gather(*(stage.apps.set_rules(app_id, each) for each in documents))
    assert stage.apps.get_row(app_id).rules == documents[-1]


@pytest.mark.rule("S152")
async def test_who_compiles_much_makes_nobody_else_wait(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "RULES_SAVES_WAITING_MAX", 6)
    monkeypatch.setattr(limits, "RULES_SAVES_WAITING_OF_NETWORK_MAX", 5)
    gate = threading.Event()
    parse = Rules.parse
    order: list[str] = []

    def held(document: Any, **options: Any) -> Rules:
        gate.wait()
        order.append(document["who"]["n"])
        return parse({}, **options)

    stage = await open_stage()

    def save(who, name):
        document = {"who": {"n": name}}
        work = stage.apps.compile_rules(document, is_open=True, turn_key=who)
        return asyncio.ensure_future(work)

    monkeypatch.setattr(Rules, "parse", held)
    many = [save(("net", "app"), f"many {n}") for n in range(6)]
    other_app = save(("net", "other"), "other app")
    few = save(("elsewhere", "app"), "elsewhere")
    try:
        for _ in range(5):
            await asyncio.sleep(0)
    finally:
        gate.set()
    done = await asyncio.gather(*many, other_app, few, return_exceptions=True)
    # One runs, five wait: the network's own bound refuses one more of it, and the newest of it
    # makes room for who comes from elsewhere.
    refused = [isinstance(each, Unavailable) for each in done]
    assert refused == [False] * 5 + [True, True, False]
    assert order == ["many 0", "many 1", "elsewhere", "many 2", "many 3", "many 4"]


@pytest.mark.rule("S153")
async def test_warnings_are_looked_for_once(open_stage, monkeypatch):
    looked = []
    find = compile.warnings_wire

    def counting(*arguments):
        looked.append(arguments)
        return find(*arguments)

    monkeypatch.setattr(compile, "warnings_wire", counting)
    document = {"todos": {"allow": {"veiw": "true"}}}
    stage = await open_stage()
    app_id = await stage.make(rules=document, is_open=True)
    app = await stage.apps.lend(app_id)
    told = await stage.apps.warnings(app)
    assert [each["in"] for each in told] == [["todos", "allow", "veiw"]]
    again = [stage.apps.warnings(app) for _ in range(3)]
    assert await asyncio.gather(*again) == [told] * 3
    assert len(looked) == 1
    await app.database.transact_admin(put(1), identity=ADMIN)  # another catalog
    asked = [stage.apps.warnings(app) for _ in range(3)]
    assert len(await asyncio.gather(*asked)) == 3
    assert len(looked) == 2
    other = await stage.apps.compile_rules({"todos": {"allow": {"view": "true"}}}, is_open=True)
    assert await stage.apps.warnings(app, other) != told
    assert len(looked) == 3
    monkeypatch.setattr(limits, "RULES_SAVES_WAITING_OF_NETWORK_MAX", 0)
    third = await stage.apps.compile_rules({"todos": {"allow": {"view": "1 == 1"}}}, is_open=True)
    (told,) = await stage.apps.warnings(app, third, turn_key=("net", app_id))
    assert "Nobody looked for warnings" in told["message"]
    stage.apps.give_back(app)
