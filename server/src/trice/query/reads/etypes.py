"""Which namespaces a query looks at. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from trice.query.ast import AllOf, AnyOf, Form, Never, Query, Scope, Test


def etypes_of(query: Query) -> frozenset[str] | None:
    """Every namespace whose entities decide the answer.

    returns   None when the query uses a name that does not exist: any namespace may get it later
    """
    found: set[str] = set()
    for form in query.forms:
        for etype in _form(form):
            if not etype:
                return None
            found.add(etype)
    return frozenset(found)


def _form(form: Form) -> Iterator[str]:
    """The namespaces of a form and those below; empty text for one that does not exist."""
    yield form.etype if form.is_known else ""
    if form.via is not None:
        yield form.via.attr.etype
    yield from _scope(form.where)
    for child in form.children:
        yield from _form(child)


def _scope(scope: Scope) -> Iterator[str]:
    for condition in scope:
        match condition:
            case Test(path=path, attr=attr):
                yield from (hop.etype for hop in path)
                yield attr.etype
            case AllOf(scopes) | AnyOf(scopes):
                for inner in scopes:
                    yield from _scope(inner)
            case Never():
                yield ""
            case _:
                pass
