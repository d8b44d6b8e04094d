"""Paths of `ref`: names to links. No I/O.

    data.ref("owner.posts.title")   links `owner`, `posts`, then the attr `title`

Links are walked in either direction, by the label that each namespace of the path has for them.
Entities on the path must exist; a link as the last segment gives the ids at its other end.

source   instant-semantics §5.4; spec/rules.md R54-R56
"""

from __future__ import annotations

from collections.abc import Iterator

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.cel.errors import EvaluationError
from trice.cel.values import show
from trice.query.ast import Hop, Ref


def resolve_path(catalog: Catalog, etype: str, path: str) -> Ref:
    """Find the links and the attr that `path` names, starting at `etype`.

    raises   EvaluationError naming the segment that does not exist or is no link
    """
    *links, last = path.split(".")
    if len(links) > limits.QUERY_DEPTH_MAX:
        raise EvaluationError(
            f"ref({show(path)}) walks {len(links)} links; at most {limits.QUERY_DEPTH_MAX} are "
            "allowed."
        )
    steps: list[Hop] = []
    here = etype
    for label in links:
        hop = _find_hop(catalog, here, label)
        if hop is None:
            raise _unknown(path, here, label, catalog.find_forward(here, label))
        steps.append(hop)
        here = hop.etype
    attr = catalog.find_forward(here, last)
    if attr is not None:
        return Ref(tuple(steps), attr, True)
    attr = catalog.find_reverse(here, last)
    if attr is None:
        raise _unknown(path, here, last, None, is_last=True)
    return Ref(tuple(steps), attr, False)


def follow_path(catalog: Catalog, etype: str, path: str) -> Iterator[tuple[Attr, str]]:
    """The attrs that `path` names, up to the first that does not exist; each with the namespace in
    which it was looked up."""
    *links, last = path.split(".")
    here = etype
    for label in links[: limits.QUERY_DEPTH_MAX]:
        hop = _find_hop(catalog, here, label)
        if hop is None:
            return
        yield hop.attr, hop.etype
        here = hop.etype
    attr = catalog.find_name(here, last)
    if attr is not None:
        yield attr, here


def _find_hop(catalog: Catalog, etype: str, label: str) -> Hop | None:
    """The link that `etype` calls `label`, in either direction."""
    attr = catalog.find_forward(etype, label)
    if attr is not None:
        if attr.reverse is None or not attr.is_ref:
            return None
        return Hop(attr, True, attr.reverse.etype)
    attr = catalog.find_reverse(etype, label)
    return None if attr is None else Hop(attr, False, attr.etype)


def _unknown(
    path: str, etype: str, label: str, attr: Attr | None, *, is_last: bool = False
) -> EvaluationError:
    where = f"ref({show(path)}): `{etype}`"
    if attr is not None:
        return EvaluationError(f"{where} has `{label}`, but it is no link and nothing follows it.")
    what = "attr or link" if is_last else "link"
    return EvaluationError(f"{where} has no {what} `{label}`.")


def is_reachable(catalog: Catalog, ref: Ref) -> bool:
    """Whether every namespace on the path can have entities."""
    namespaces = catalog.namespaces
    return all(hop.etype in namespaces and namespaces[hop.etype].has_rows for hop in ref.path)
