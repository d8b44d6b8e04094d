"""What a plan says it reads, for live queries."""

from __future__ import annotations

from typing import Any

from support.attrs import entity, name_id
from support.library import Library, uid
from trice.query.reads.forms import FormReads


def reads(library: Library, query: Any) -> tuple[FormReads, ...]:
    return library.plan(query).reads


def ids(*names: str) -> frozenset[str]:
    return frozenset(map(name_id, names))


def test_own_conditions(books: Library) -> None:
    (form,) = reads(
        books,
        {
            "books": {
                "$": {
                    "where": {
                        "title": "a",
                        "born": {"$in": ["2025-01-01", None]},
                        "author": uid(10),
                        "id": {"$in": [uid(1), uid(2)]},
                        "pages": {"$gt": 5},
                        "or": [{"note": 1}, {"kind": 2}],
                    },
                    "order": {"title": "asc"},
                    "limit": 5,
                    "fields": ["sub"],
                }
            }
        },
    )
    assert form.etype == "books" and form.via is None
    tested = ids(
        "books.title", "books.born", "books.author", "books.id", "books.pages", "books.note",
        "books.kind",
    )  # fmt: skip
    assert form.own_attrs == tested
    assert form.order == name_id("books.title")
    title, author, born = (name_id(f"books.{name}") for name in ("title", "author", "born"))
    assert [one.cells for one in form.anchors] == [
        {(title, "a")},
        set(),
        {(author, entity(10))},
        {(name_id("books.id"), entity(1)), (name_id("books.id"), entity(2))},
        set(),
        {(name_id("books.note"), 1), (name_id("books.kind"), 2)},
    ]
    assert {(span.lane.attr_id, span.lane.measure) for span in form.anchors[1].spans} == {
        (born, "instant")
    }
    assert len(form.anchors[1].spans) == 2, "the day, and null"
    assert form.paths == () and form.waits == ()


def test_paths(books: Library) -> None:
    (form,) = reads(
        books,
        {"books": {"$": {"where": {"author.boss.name": "Ada", "author.age": 1, "tags": uid(1)}}}},
    )
    assert form.own_attrs == ids("books.author", "books.tags")
    assert [
        ([step.attr.label for step in path.links], path.etype, path.attrs) for path in form.paths
    ] == [
        (["author"], "people", ids("people.boss", "people.age")),
        (["author", "boss"], "people", ids("people.name")),
    ]
    assert form.anchors == ()
    (end,) = form.ends
    assert (end.attr_id, end.is_forward, end.end) == (name_id("books.tags"), True, entity(1))
    (form,) = reads(books, {"people": {"$": {"where": {"books": uid(1)}}}})
    (end,) = form.ends
    assert (end.attr_id, end.is_forward) == (name_id("books.author"), False)


def test_levels_and_unknown_names(books: Library) -> None:
    found = reads(
        books,
        {
            "books": {"$": {"where": {"nothing": 1, "or": [{"author.none": 1}]}}, "gone": {}},
            "nowhere": {"$": {"where": {"x": 1}}},
            "people": {"owns": {}},
        },
    )
    assert [(form.etype, form.waits) for form in found] == [
        ("books", (("people", "none"), ("books", "nothing"))),
        ("", (("books", "gone"),)),
        ("nowhere", (("nowhere", "x"), ("nowhere", ""))),
        ("people", ()),
        ("books", ()),
    ]
    via = found[-1].via
    assert via is not None and via.attr.label == "owns" and via.is_forward


def test_the_tree_names_every_entity_witnesses_included(books: Library) -> None:
    books.add("people", 10, name="Ada")
    books.add("books", 1, author=10)
    tree = books.run({"books": {"$": {"where": {"author.name": "Ada"}}}})
    assert list(tree.entities()) == [("books", entity(1)), ("people", entity(10))]
    assert [node.form.is_witness for node in tree.walk()] == [False, True]
    tree = books.run({"books": {"author": {}}})
    (child,) = tree.nodes[0].children
    assert child.by_parent(tree.nodes[0].rows) == {entity(1): child.rows}
