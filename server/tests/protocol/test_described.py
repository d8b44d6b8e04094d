"""The description of the wire, held against what makes and what reads it."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from cases.case_file import alias_uuid
from support import described
from support.runtime import FakeRuntime
from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import TriceError
from trice.protocol import down, tx_steps
from trice.protocol.errors import CLOSE_CODES, CODES, TRY_LATER, Kind
from trice.protocol.ids import SessionId, TxId
from trice.protocol.shared import Frame, SharedPart, plain
from trice.protocol.version import WIRE_HASH
from trice.rooms.presence import Presence, edits_between
from trice.transact.admin import expand_admin_steps
from trice.transact.parse import parse_steps

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = runpy.run_path(str(ROOT / "scripts" / "document_protocol.py"))
SCHEMA: dict[str, Any] = DOCUMENT["schema"]()

ID, OTHER, ATTR = (alias_uuid(alias) for alias in ("a1", "a2", "a3"))
TRIPLE = orjson.dumps([ID, ATTR, {"any": [1.5]}, 7])
ATTR_ON_THE_WIRE = {
    "id": ATTR,
    "forward-identity": [ID, "todos", "title"],
    "value-type": "blob",
    "cardinality": "one",
    "unique?": False,
    "index?": True,
    "required?": False,
    "inferred-types": ["string"],
    "catalog": "user",
    "checked-data-type": "string",
}
ATTRS = SharedPart(orjson.dumps([ATTR_ON_THE_WIRE]))
PAGE = {
    "start-cursor": [ID, ATTR, None, 7],
    "end-cursor": None,
    "has-next-page?": False,
    "has-previous-page?": True,
}
META = orjson.dumps({"page-info": {"todos": PAGE}, "aggregate": {"todos": {"count": 2}}})
RESULT = b'[{"data":{"datalog-result":{"join-rows":[[%b]]},%b},"child-nodes":[]}]' % (
    TRIPLE,
    META[1:-1],
)
NAMES = down.names_of(b"0a", b"ff")
DELTA = down.delta(
    removed=[orjson.dumps([ID, ATTR]), orjson.dumps([ID, ATTR, 1])],
    changed=[TRIPLE],
    added=[TRIPLE],
    data_json=META,
)
CHANGE = down.change_of(b"0a", held=b"01", version=b"ff", delta=DELTA)
SAME = down.change_of(b"0a", held=b"ff", version=b"ff", delta=None)
COMPUTATION = down.computation(q_json=b"{}", result_json=RESULT, meta_json=META)
TREE = down.computation(q_json=b"{}", result_json=b'{"todos":[]}', meta_json=b"null")
TX = TxId(3)
CALL_DELTA = down.call_delta(
    rest=b'{"items":[]}',
    lists={"items": {"gone": b'["a"]', "put": b'[{"id":"b"}]', "order": b'[[0,"b"]]'}, "": {}},
)
CALLS = [
    SharedPart(down.call_news("todos.open", b"{}", said=said))
    for said in (
        down.call_value(b"[1]"),
        down.call_value(b"[1]", version=b"ff"),
        down.call_change(held=b"01", version=b"ff", delta=CALL_DELTA),
        down.call_change(held=b"ff", version=b"ff", delta=None),
    )
]
FAILED_CALL = SharedPart(
    down.call_news(
        *("todos.open", b'{"a":1}'),
        said=b"",
        error=orjson.dumps({"type": "function-error", "message": "m", "hint": {"code": "c"}}),
    )
)

PAGE = down.call_page(0, until="c", is_new=True, value=b'{"items":[],"next":"c"}')
FAILED_PAGE = down.call_page(
    1,
    until=None,
    is_new=False,
    value=None,
    error=orjson.dumps({"type": "function-error", "message": "m", "hint": {"code": "c"}}),
)
LIST = SharedPart(down.list_news("todos.all", b"{}", [PAGE, FAILED_PAGE], count=2, is_whole=True))

PEER = Presence("p", ID, {"x": 1}, b'{"x":1}')
SAID = down.topic_content("p", ID, b"[]")

FRAMES: dict[str, Callable[[], Frame]] = {
    "init_ok": lambda: down.init_ok(
        SessionId(ID), event_id="e", app={"id": ID, "title": "t"}, attrs=ATTRS
    ),
    "init_ok resumed": lambda: down.init_ok(
        SessionId(ID),
        event_id=None,
        app={"id": ID, "title": "t"},
        attrs=None,
        trice={"version": 1, "features": ["delta"], "tx": 0, "reset?": True, "catalog": "c"},
    ),
    "add_query_ok": lambda: down.add_query_ok(
        event_id="e", q_json=b"{}", result=SharedPart(RESULT), meta_json=META, tx=TX
    ),
    "add_query_ok named": lambda: down.add_query_ok(
        event_id="e", q_json=b"{}", result=SharedPart(b"{}"), meta_json=b"null", tx=TX, names=NAMES
    ),
    "add_query_ok_from_held": lambda: down.add_query_ok_from_held(
        event_id="e", change=CHANGE, tx=TX
    ),
    "add_query_ok_from_held same": lambda: down.add_query_ok_from_held(
        event_id="e", change=SAME, tx=TX
    ),
    "refresh_ok": lambda: down.refresh_ok(
        [COMPUTATION, TREE, SharedPart(down.named_computation(COMPUTATION, NAMES))],
        tx=TX,
        attrs=ATTRS,
        catalog="c",
    ),
    "refresh_ok from held": lambda: down.refresh_ok(
        [b"{%b}" % CHANGE, b"{%b}" % SAME], tx=TX, attrs=None
    ),
    "refresh_ok calls": lambda: down.refresh_ok(
        [COMPUTATION], tx=TX, attrs=None, calls=[*CALLS, FAILED_CALL]
    ),
    "refresh_ok lists": lambda: down.refresh_ok([], tx=TX, attrs=None, calls=[LIST]),
    "add_call_ok of a list": lambda: down.add_call_ok(
        "todos.all", b"{}", event_id="e", said=SharedPart(down.call_pages([PAGE])), tx=TX
    ),
    "call_ok": lambda: down.call_ok(b"null", event_id="e", tx=None),
    "call_ok of a mutation": lambda: down.call_ok(b"[1]", event_id=None, tx=TX),
    "add_call_ok": lambda: down.add_call_ok(
        "todos.open", b'{"a":1}', event_id="e", said=SharedPart(b'"value":[]'), tx=TX
    ),
    "add_call_ok from held": lambda: down.add_call_ok(
        *("todos.open", b"{}"),
        event_id="e",
        said=SharedPart(down.call_change(held=b"01", version=b"ff", delta=CALL_DELTA)),
        tx=TX,
    ),
    "remove_query_ok": lambda: down.remove_query_ok(b"{}", event_id="e"),
    "transact_ok": lambda: down.transact_ok(TX, event_id=None),
    "join_room_ok": lambda: down.join_room_ok("r", event_id="e"),
    "join_room_error": lambda: down.join_room_error("r", "not allowed", event_id=None),
    "leave_room_ok": lambda: down.leave_room_ok("r", event_id=None),
    "set_presence_ok": lambda: down.set_presence_ok("r", event_id="e"),
    "refresh_presence": lambda: down.refresh_presence("r", {"p": PEER.entry()}),
    "patch_presence": lambda: down.patch_presence("r", edits_between(None, PEER)),
    "server_broadcast": lambda: down.server_broadcast("r", "t", SAID),
    "client_broadcast_ok": lambda: down.client_broadcast_ok("r", "t", SAID, event_id="e"),
    "start_sync_ok": lambda: down.start_sync_ok(b"{}", event_id="e", table_id=ID, token="t"),
    "sync_load_batch": lambda: down.sync_load_batch([TRIPLE], table_id=ID),
    "sync_init_finish": lambda: down.sync_init_finish(TX, table_id=ID),
    "sync_update_triples": lambda: down.sync_update_triples(
        [(TX, b'{"action":"added","triple":%b}' % TRIPLE)], table_id=ID
    ),
    "error": lambda: down.error(
        {"type": "timeout", "message": "m", "hint": {"a": 1}},
        status=500,
        event_id="e",
        original_json=b'{"op":"x"}',
        trace_id=ID,
    ),
    "start_stream_ok": lambda: down.start_stream_ok(
        event_id="e", client_id="c", stream_id=ID, offset=0
    ),
    "stream_flushed": lambda: down.stream_flushed(ID, offset=1, is_done=True),
    "append_failed": lambda: down.append_failed(ID),
    "stream_append": lambda: down.stream_append(
        event_id="e",
        stream_id=ID,
        client_id="c",
        told={
            "offset": 0,
            "files": [{"id": ID, "size": 1, "url": "u"}],
            "content": "c",
            "done": True,
            "abort-reason": "r",
            "error": "e",
        },
    ),
    "sse_init": lambda: down.sse_init(SessionId(ID), machine_id=ID, sse_token=OTHER),
}
PIECES = {
    "call_change",
    "call_delta",
    "call_news",
    "call_page",
    "call_pages",
    "call_value",
    "list_news",
    "computation",
    "topic_content",
    "named_computation",
    "names_of",
    "change_of",
    "delta",
}


# --- messages down -------------------------------------------------------------------------------


@pytest.mark.rule("P200")
@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_what_is_joined_by_hand_is_what_is_described(make: Callable[[], Frame]) -> None:
    assert described.why_not_described(plain(make())) is None


@pytest.mark.interpreted("functions are listed")
def test_every_producer_is_tried() -> None:
    made = {name for name, _ in inspect.getmembers(down, inspect.isfunction) if name[0] != "_"}
    own = {name for name in made if getattr(down, name).__module__ == down.__name__}
    assert own == {name.split(" ")[0] for name in FRAMES} | PIECES


@pytest.mark.rule("P200")
@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_a_key_more_or_less_or_of_another_form_is_noticed(make: Callable[[], Frame]) -> None:
    message = orjson.loads(bytes(plain(make())))
    optional = {"attrs", "catalog", "trice", "calls"}
    optional |= {"tx-id"} if message["op"] == "call-ok" else set()
    optional |= {"offset", "files", "content", "done", "abort-reason", "error"} & (
        message.keys() if message["op"] == "stream-append" else set()
    )
    for broken in (
        {**message, "surprise": 1},
        *({k: v for k, v in message.items() if k != key} for key in message.keys() - optional),
        *({**message, key: ["x"]} for key in message.keys() - {"original-event", "value"}),
    ):
        assert described.why_not_described(orjson.dumps(broken)) is not None, broken


@pytest.mark.rule("P200")
@pytest.mark.parametrize(
    "part",
    [
        down.change_of(b"0a", held=b"ff", version=b"ff", delta=DELTA),
        down.change_of(b"0a", held=b"01", version=b"ff", delta=None),
        b'"query-id":"0a"',
        COMPUTATION[1:-1] + b"," + CHANGE,
        b'"instaql-query":{}',
    ],
)
def test_the_full_form_and_that_from_a_version_are_not_mixed(part: bytes) -> None:
    frame = plain(down.refresh_ok([b"{%b}" % part], tx=TX, attrs=None))
    assert described.why_not_described(frame) is not None


# --- steps ---------------------------------------------------------------------------------------

NEW_ATTR = {
    "id": ATTR,
    "forward-identity": [OTHER, "todos", "title"],
    "value-type": "blob",
    "cardinality": "one",
    "unique?": False,
    "index?": False,
}
STEPS: list[list[Any]] = [
    ["add-triple", ID, ATTR, 1],
    ["add-triple", ID, ATTR, [ATTR, "x"], {"mode": "create"}],
    ["add-triple", [ATTR, "x"], ATTR, None, {"mode": None}],
    ["deep-merge-triple", ID, ATTR, {"a": None}],
    ["increment-triple", ID, ATTR, -0.5, {"mode": "update"}],
    ["retract-triple", ID, ATTR, 1],
    ["delete-entity", ID],
    ["delete-entity", ID, "todos"],
    ["rule-params", ID, "todos", {"a": 1}],
    ["add-attr", NEW_ATTR],
    ["update-attr", {"id": ATTR, "index?": True}],
    ["delete-attr", ATTR],
    ["restore-attr", ATTR],
]
ADMIN_STEPS: list[list[Any]] = [
    ["create", "todos", ID, {"title": "x"}],
    ["update", "todos", {"slug": "x"}, {"title": "x"}, {"upsert": False}],
    ["merge", "todos", ["slug", "x"], {"title": {"a": 1}}],
    ["increment", "todos", ID, {"votes": 1}, {"upsert": False}],
    ["link", "todos", 'lookup__slug__"x"', {"owner": [ID, OTHER]}],
    ["unlink", "todos", ID, {"owner": ID}],
    ["delete", "todos", ID],
    ["ruleParams", "todos", ID, {"a": 1}],
    ["add-attr", NEW_ATTR],
    ["delete-attr", ATTR],
]


def read_session_step(step: Any) -> None:
    parse_steps([step], is_admin=True)


def read_admin_step(step: Any) -> None:
    catalog = Catalog(())
    expand_admin_steps([step], catalog, throw_on_missing_attrs=False, runtime=FakeRuntime())


@pytest.mark.rule("P202")
@pytest.mark.parametrize(
    ("union", "steps", "read"),
    [
        (tx_steps.Step, STEPS, read_session_step),
        (tx_steps.AdminStep, ADMIN_STEPS, read_admin_step),
    ],
    ids=["sessions", "admin"],
)
def test_steps_are_read_as_they_are_described(
    union: Any, steps: list[Any], read: Callable[[Any], None]
) -> None:
    decoder = msgspec.json.Decoder(union)
    tags = {one.__struct_config__.tag for one in union.__args__}
    assert tags == {step[0] for step in steps}
    with pytest.raises(TriceError) as refused:
        read(["no-such-op", "todos", ID, {}])
    known = re.split(r"one of |Accepted are ", refused.value.message)[1].rstrip(".").split(", ")
    assert tags == set(known)

    for step in steps:
        decoder.decode(orjson.dumps(step))
        read(step)
        for broken in broken_forms(step):
            if is_refused(decoder, broken):
                with pytest.raises(TriceError):
                    read(broken)


def broken_forms(step: list[Any]) -> list[list[Any]]:
    """Steps with an argument less, arguments more, or one of another form."""
    forms = [step[:size] for size in range(1, len(step))]
    forms += [[*step, None], [*step, None, None], [*step, None, None, None, None]]
    for position in range(1, len(step)):
        for other in (5, True, None, "", "x", [], [1], {}, {"mode": 5}, {"upsert": 5}):
            forms.append([*step[:position], other, *step[position + 1 :]])
    if isinstance(step[1], dict):
        for key in step[1]:
            forms.append([step[0], {**step[1], key: {"other": "form"}}])
            forms.append([step[0], {name: v for name, v in step[1].items() if name != key}])
    return forms


def is_refused(decoder: msgspec.json.Decoder[Any], step: Any) -> bool:
    try:
        decoder.decode(orjson.dumps(step))
    except msgspec.ValidationError:
        return True
    return False


# --- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.rule("P203")
@pytest.mark.parametrize(
    ("status", "sent", "answer"),
    [
        (200, {"steps": []}, {"tx-id": 0}),
        (200, {"steps": []}, {"tx-id": 1, "more": 1}),
        (200, {"step": []}, {"tx-id": 1}),
        (400, {}, {"type": "no-such", "message": "m", "trace-id": ID}),
        (400, {}, {"type": "unknown", "message": "m", "hint": {}}),
    ],
)
def test_a_body_that_is_not_described_is_noticed(status: int, sent: Any, answer: Any) -> None:
    described.check_exchange(
        "POST /admin/transact",
        orjson.dumps(sent),
        status=status,
        headers={"content-type": "application/json; charset=utf-8"},
        answer=orjson.dumps(answer),
    )
    assert len(described.misfits) == 1
    described.misfits.clear()


# --- codes ---------------------------------------------------------------------------------------


@pytest.mark.rule("P204")
def test_trouble_of_the_servers_own_closes_what_did_not_open() -> None:
    for code in CODES.values():
        is_own = code.kind in (Kind.UNAVAILABLE, Kind.BUG)
        assert code.init_closes_with == (TRY_LATER if is_own else None), code.name


@pytest.mark.rule("P205")
def test_close_codes_are_named_in_one_place() -> None:
    """A number between those of RFC 6455 stands in the registry, or says what clients may send."""
    offenders = []
    for path in sorted((ROOT / "server" / "src").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if path.name == "errors.py" or "_PEER_CODES" in ast.unparse(node)[:12]:
                continue
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and part.value in range(1001, 1016):
                    offenders.append(f"{path.name}:{part.lineno} {part.value}")
    offenders = [one for one in offenders if not one.startswith("limits.py")]
    assert offenders == []
    described.check_close_code(min(CLOSE_CODES))
    assert described.misfits == []
    described.check_close_code(1010)
    assert len(described.misfits) == 1
    described.misfits.clear()


# --- the document --------------------------------------------------------------------------------


@pytest.mark.rule("P201")
def test_the_wire_is_pinned() -> None:
    found = DOCUMENT["wire_hash"]()
    assert found == WIRE_HASH, (
        f"The wire has changed: its hash is {found}. `protocol/version.py` says what is due."
    )


@pytest.mark.rule("P201")
def test_the_hash_tells_a_changed_key_and_no_changed_word(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**SCHEMA, "$defs": {**SCHEMA["$defs"], "Nothing": {"description": "other words"}}}
    words = {**SCHEMA["$defs"]["Nothing"], "description": "other words"}
    monkeypatch.setitem(DOCUMENT["wire_hash"].__globals__, "schema", lambda: changed)
    assert DOCUMENT["wire_hash"]() != WIRE_HASH
    changed["$defs"]["Nothing"] = words
    assert DOCUMENT["wire_hash"]() == WIRE_HASH


@pytest.mark.rule("P200", "P202", "P203")
def test_the_schema_refers_to_nothing_outside() -> None:
    refs = set(re.findall(r'"\$ref": "(.*?)"', json.dumps(SCHEMA)))
    assert refs == {f"#/$defs/{name}" for name in SCHEMA["$defs"]} & refs
    assert {"Up", "Down", "Step", "AdminStep"} <= SCHEMA["$defs"].keys()
    unsaid = [name for name, one in SCHEMA["$defs"].items() if "anyOf" not in one]
    assert [name for name in unsaid if not SCHEMA["$defs"][name].get("description")] == []


@pytest.mark.rule("P206")
def test_limits_of_the_schema_are_those_of_the_server() -> None:
    told = {name: one["value"] for name, one in SCHEMA["limits"].items()}
    assert told["ping-interval-ms"] == limits.PING_INTERVAL_MS
    assert told["message-bytes-max"] == limits.MESSAGE_BYTES_MAX
    for name, value in told.items():
        assert getattr(limits, name.upper().replace("-", "_")) == value
