"""Rules as a visibility: fields, what answers depend on, who may share them."""

from __future__ import annotations

import pytest

from support.attrs import entity
from support.library import uid
from support.notes import GUEST, Notes, user
from trice.identity import Identity
from trice.protocol.ids import EntityId
from trice.query.encode import nested_result
from trice.query.visibility import Depends
from trice.rules.document import Rules
from trice.rules.judge import Caller
from trice.rules.visible import view_key


@pytest.mark.rule("R87")
def test_a_field_rule_hides_one_attr(notes: Notes) -> None:
    library = notes.library
    library.add("notes", 10, title="mine", sub="s", owner=1)
    library.add("notes", 11, title="theirs", sub="s", owner=2)
    rules = Rules.parse(
        {"notes": {"allow": {"view": "true"}, "fields": {"title": "auth.id == data.owner"}}}
    )
    tree = notes.ask(rules, {"notes": {"$": {"fields": ["title", "sub"]}}}, user(1))
    found = nested_result(tree, is_inferring=False)["notes"]
    assert found == [
        {"id": uid(10), "title": "mine", "sub": "s"},
        {"id": uid(11), "sub": "s"},
    ]


@pytest.mark.rule("R87")
def test_rules_are_looked_at_when_they_are_needed(notes: Notes) -> None:
    rules = Rules.parse({"tags": {"allow": {"view": "auth.ref('$user.nope.id') == []"}}})
    notes.library.statements.clear()
    assert nested_result(notes.ask(rules, {"notes": {}}, user(1)), is_inferring=False) == {
        "notes": []
    }
    visibility = notes.visibility(rules, user(1))
    assert visibility.entities("notes") == ()
    assert visibility.entities("tags") is visibility.entities("tags")


@pytest.mark.rule("R88")
@pytest.mark.parametrize(
    ("expression", "entities", "labels", "etypes"),
    [
        ("true", 0, (), ()),
        ("auth.id == data.owner", 0, (), ()),
        ("auth.role == 'admin'", 1, (), ()),
        ("size(auth) > 3", 1, (), ()),
        (
            "data.team in auth.ref('$user.team.id')",
            0,
            ("$users.team", "teams.id"),
            ("$users", "teams"),
        ),
        (
            "data.id in auth.ref('$user.notes.children.nope')",
            0,
            ("notes.owner", "notes.parent"),
            ("$users", "notes"),
        ),
    ],
)
def test_what_a_visibility_is_made_from(
    notes: Notes,
    expression: str,
    entities: int,
    labels: tuple[str, ...],
    etypes: tuple[str, ...],
) -> None:
    rules = Rules.parse({"notes": {"allow": {"view": expression}}})
    visibility = notes.visibility(rules, user(1))
    assert visibility.depends == Depends()
    visibility.entities("notes")
    found = visibility.depends
    assert found.entities == {("$users", EntityId(entity(1)))} or not entities
    assert len(found.entities) == entities
    names = {notes.library.catalog.by_id[attr].name for attr in found.attrs}
    assert names == set(labels)
    assert found.births == found.etypes == set(etypes)
    nobody = notes.visibility(rules, GUEST)
    nobody.entities("notes")
    assert nobody.depends == Depends()


def key(document: object, identity: Identity, *etypes: str) -> str:
    return view_key(Rules.parse(document), etypes or ("notes",), Caller(identity))


@pytest.mark.rule("R89")
def test_answers_are_shared_unless_rules_ask_who_it_is() -> None:
    ann, bob = user(1), user(2)
    for expression in ("true", "data.n == 1", "ruleParams.a == 1", "request.time == null"):
        document = {"notes": {"allow": {"view": expression}}}
        assert key(document, ann) == key(document, bob) == key(document, GUEST) == "all"
    for expression in (
        *("auth.id == data.owner", "auth != null", "[auth] == []", "auth['id'] == null"),
        *("auth.ref('$user.team.id') != []", "data.ref('x').exists(y, y == auth.id)"),
    ):
        for document in (
            {"notes": {"allow": {"view": expression}}},
            {"notes": {"fields": {"title": expression}}},
            {"notes": {"bind": {"a": expression}, "allow": {"view": "a"}}},
            {"$default": {"allow": {"view": expression}}},
        ):
            keys = {key(document, who) for who in (ann, bob, GUEST)}
            assert len(keys) == 3, document
            assert key(document, ann) == key(document, user(1))
    document = {"tags": {"allow": {"view": "auth.id != null"}}}
    assert key(document, ann, "notes") == "all"
    assert key(document, ann, "notes", "tags") != "all"
    assert key(None, ann, "$users") != key(None, bob, "$users")


@pytest.mark.rule("R89")
def test_address_and_origin_part_answers_where_they_are_asked_for() -> None:
    here = Identity("guest", None, ip="1.1.1.1", origin="https://a.test")
    there = Identity("guest", None, ip="2.2.2.2", origin="https://a.test")
    other = Identity("guest", None, ip="1.1.1.1", origin="https://b.test")
    by_ip = {"notes": {"allow": {"view": "request.ip == '1.1.1.1'"}}}
    assert key(by_ip, here) == key(by_ip, other) != key(by_ip, there)
    by_origin = {"notes": {"allow": {"view": "request.origin != ''"}}}
    assert key(by_origin, here) == key(by_origin, there) != key(by_origin, other)
    whole = {"notes": {"allow": {"view": "[request].exists(r, r.ip != '')"}}}
    assert len({key(whole, who) for who in (here, there, other)}) == 3
    masked = {"notes": {"allow": {"view": "cel.bind(auth, data.n, auth == 1)"}}}
    assert key(masked, here) == "all"
