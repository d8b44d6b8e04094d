"""Schema documents → attrs to add."""

from __future__ import annotations

import random
from typing import Any

import pytest

from support.runtime import FakeRuntime
from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.schema import plan_schema
from trice.catalog.system import system_attrs
from trice.errors import InvalidInput, LimitExceeded, TriceError

SYSTEM = Catalog(system_attrs())


def field(value_type: str = "string", *, required: bool = False, **config: bool) -> dict[str, Any]:
    return {
        "valueType": value_type,
        "required": required,
        "isIndexed": config.get("indexed", False),
        "config": {"indexed": False, "unique": False, **config},
        "metadata": {},
    }


def entities(**attrs: Any) -> dict[str, Any]:
    return {name: {"attrs": each, "links": {}} for name, each in attrs.items()}


def side(on: str, label: str, has: str, **more: Any) -> dict[str, Any]:
    return {"on": on, "label": label, "has": has, **more}


def plan(document: Any, catalog: Catalog = SYSTEM) -> list[Attr]:
    return plan_schema(document, catalog, FakeRuntime())


def refused(document: Any, catalog: Catalog = SYSTEM) -> str:
    with pytest.raises(InvalidInput) as caught:
        plan(document, catalog)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["data-type"] == "schema"
    assert caught.value.hint["errors"][0]["in"] == ["schema"]
    return caught.value.message


BLOG = {
    "entities": entities(
        posts={
            "title": field(required=True, indexed=True),
            "slug": field(unique=True),
            "likes": field("number"),
            "done": field("boolean"),
            "at": field("date"),
            "body": field("json"),
            "rest": field("any"),
        },
        tags={},
    ),
    "links": {
        "postsAuthor": {
            "forward": side("posts", "author", "one", onDelete="cascade", required=True),
            "reverse": side("$users", "posts", "many"),
        },
        "postsTags": {
            "forward": side("posts", "tags", "many"),
            "reverse": side("tags", "post", "one", onDelete="cascade"),
        },
    },
    "rooms": {"chat": {"presence": {}}},
    "extra": 5,
}


@pytest.mark.rule("C30")
def test_fields() -> None:
    attrs = {attr.name: attr for attr in plan(BLOG)}
    title, slug = attrs["posts.title"], attrs["posts.slug"]
    assert (title.is_required, title.is_indexed, title.is_unique) == (True, True, False)
    assert (slug.is_required, slug.is_indexed, slug.is_unique) == (False, False, True)
    types = {name: attr.checked_type for name, attr in attrs.items() if not attr.is_ref}
    assert types == {
        "posts.id": None,
        "tags.id": None,
        "posts.title": "string",
        "posts.slug": "string",
        "posts.likes": "number",
        "posts.done": "boolean",
        "posts.at": "date",
        "posts.body": None,
        "posts.rest": None,
    }
    assert attrs["posts.id"].is_unique and not attrs["posts.id"].is_indexed


@pytest.mark.rule("C31")
def test_links() -> None:
    author, tags = [attr for attr in plan(BLOG) if attr.is_ref]
    assert (author.cardinality, author.is_unique, author.is_required) == ("one", False, True)
    assert (author.on_delete, author.on_delete_reverse) == ("cascade", None)
    assert author.reverse is not None and author.reverse.name == ("$users", "posts")
    assert (tags.cardinality, tags.is_unique, tags.is_required) == ("many", True, False)
    assert (tags.on_delete, tags.on_delete_reverse) == (None, "cascade")
    assert not author.is_indexed


@pytest.mark.rule("C32")
def test_order_and_ids() -> None:
    attrs = plan(BLOG)
    kinds = [0 if attr.is_id else 1 + attr.is_ref for attr in attrs]
    assert kinds == sorted(kinds)
    ids = [attr.id for attr in attrs] + [attr.forward.id for attr in attrs]
    assert len(set(ids)) == len(ids)


@pytest.mark.rule("C33")
def test_only_what_is_missing_is_planned() -> None:
    catalog = SYSTEM.with_attrs(plan(BLOG))
    assert plan(BLOG, catalog) == []
    more = {"entities": entities(posts={"title": field(), "new": field()})}
    assert [attr.name for attr in plan(more, catalog)] == ["posts.new"]
    for nothing in ({"entities": {}}, {"entities": {}, "links": None, "rooms": {}}):
        assert plan(nothing) == []


@pytest.mark.rule("C41")
@pytest.mark.parametrize(
    ("document", "lacking"),
    [
        ({}, "`entities`"),
        ({"entities": None, "links": None}, "`entities`"),
        ({"todos": {"attrs": {"title": {"valueType": "string"}}}}, "`entities`"),
        ({"entities": {"todos": {}}}, "`attrs`"),
        ({"entities": {"todos": {"attrs": None}}}, "`attrs`"),
        ({"entities": {"todos": {"title": {"valueType": "string"}}}}, "`attrs`"),
    ],
)
def test_what_a_schema_must_have_is_told(document: Any, lacking: str) -> None:
    said = refused(document)
    assert f"must have {lacking}" in said
    assert '{"entities": {"todos": {"attrs":' in said


@pytest.mark.rule("C34")
def test_system_attrs_are_left_out() -> None:
    document = {
        "entities": entities(
            **{
                "$users": {"email": field(unique=True, indexed=True), "nick": field()},
                "$files": {"path": field(required=True), "url": field(required=True)},
            }
        ),
        "links": {
            "$usersLinkedPrimaryUser": {
                "forward": side("$users", "linkedPrimaryUser", "one", onDelete="cascade"),
                "reverse": side("$users", "linkedGuestUsers", "many"),
            }
        },
    }
    assert [attr.name for attr in plan(document)] == ["$users.nick"]


@pytest.mark.rule("C35")
def test_duplicates_and_reversed_links() -> None:
    link = BLOG["links"]["postsAuthor"]  # type: ignore[index]
    clash = {"entities": entities(posts={"author": field()}), "links": {"l": link}}
    assert "posts->author: Duplicate entry found for attribute." in refused(clash)
    assert "Duplicate entry" in refused({"links": {"a": link, "b": link}})
    catalog = SYSTEM.with_attrs(plan({"entities": {}, "links": {"l": link}}))
    turned = {"forward": link["reverse"], "reverse": side("posts", "author", "one")}
    assert "Conflicting link found for attribute." in refused({"links": {"l": turned}}, catalog)
    field_now = {"entities": entities(posts={"author": field()})}
    assert "Duplicate entry" in refused(field_now, catalog)
    other = {"forward": link["forward"], "reverse": side("$users", "written", "many")}
    assert "Duplicate entry" in refused({"links": {"l": other}}, catalog)


@pytest.mark.rule("C36")
def test_cascades_need_a_single_side() -> None:
    for forward, reverse in (
        (side("a", "b", "many", onDelete="cascade"), side("b", "a", "one")),
        (side("a", "b", "one"), side("b", "a", "many", onDelete="cascade")),
    ):
        message = refused({"links": {"l": {"forward": forward, "reverse": reverse}}})
        assert "Cascade delete is only possible on links with `has: 'one'`." in message


@pytest.mark.rule("C37")
@pytest.mark.parametrize("etype", ["$foo", "$magicCodes"])
def test_reserved_namespaces(etype: str) -> None:
    assert "$ is reserved for system tables." in refused({"entities": entities(**{etype: {}})})
    link = {"forward": side("a", "b", "one"), "reverse": side(etype, "a", "one")}
    assert "$ is reserved for system tables." in refused({"links": {"l": link}})


@pytest.mark.rule("C37")
def test_system_namespaces_get_optional_attrs_only() -> None:
    assert "optional" in refused({"entities": entities(**{"$users": {"x": field(required=True)}})})
    link = {
        "forward": side("$users", "team", "one", required=True),
        "reverse": side("teams", "members", "many"),
    }
    refused({"links": {"l": link}})


@pytest.mark.rule("C38")
@pytest.mark.parametrize(
    "document",
    [
        None,
        5,
        [],
        {"entities": []},
        {"entities": {"a": 5}},
        {"entities": {"": {}}},
        {"entities": {"a\x00": {}}},
        {"entities": {"x" * 256: {}}},
        {"entities": {"a": {"attrs": 5}}},
        {"entities": {"a": {"attrs": {"b": 5}}}},
        {"entities": {"a": {"attrs": {"": {}}}}},
        {"entities": {"a": {"attrs": {"b": {"valueType": "text"}}}}},
        {"entities": {"a": {"attrs": {"b": {"valueType": []}}}}},
        {"links": []},
        {"links": {"l": 5}},
        {"links": {"l": {"forward": side("a", "b", "one")}}},
        {"links": {"l": {"forward": side("a", "b", "few"), "reverse": side("b", "a", "one")}}},
        {"links": {"l": {"forward": side("a", "id", "one"), "reverse": side("b", "a", "one")}}},
        {
            "links": {
                "l": {
                    "forward": side("a", "b", "one", onDelete="restrict"),
                    "reverse": side("b", "a", "one"),
                }
            }
        },
        {"links": {"l": {"forward": {"label": "b", "has": "one"}, "reverse": {}}}},
    ],
)
def test_malformed_documents(document: Any) -> None:
    refused(document)


@pytest.mark.rule("C38")
def test_any_document_is_planned_or_refused() -> None:
    draw = random.Random(7)
    keys = ("entities", "links", "attrs", "forward", "reverse", "on", "label", "has", "x", "$users")
    leaves = ("one", "many", "string", "cascade", "", 5, None, True, "posts")

    def anything(depth: int) -> Any:
        if depth and draw.random() < 0.8:
            return {draw.choice(keys): anything(depth - 1) for _ in range(draw.randint(0, 4))}
        return draw.choice(leaves) if draw.random() < 0.9 else [1]

    refusals = 0
    for _ in range(3_000):
        try:
            plan(anything(5))
        except TriceError:
            refusals += 1
    assert 0 < refusals < 3_000


@pytest.mark.rule("C39")
def test_schemas_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ATTRS_PER_APP_MAX", len(SYSTEM.by_id) + 3)
    with pytest.raises(LimitExceeded):
        plan(BLOG)
