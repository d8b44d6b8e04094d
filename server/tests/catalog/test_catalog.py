"""A catalog made step by step is the catalog made at once."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from trice.catalog.attr import Attr, AttrName
from trice.catalog.catalog import Catalog
from trice.protocol.ids import AttrId

ETYPES = ("todos", "people", "tags")


def some_attr(number: int, rng: random.Random) -> Attr:
    is_ref = rng.random() < 0.4
    attr_id = f"aa000000-0000-4000-8000-{number:012d}"
    label = "id" if not is_ref and rng.random() < 0.2 else f"label{number}"
    return Attr(
        id=AttrId(attr_id),
        forward=AttrName(attr_id, rng.choice(ETYPES), label),
        reverse=AttrName(attr_id, rng.choice(ETYPES), f"reverse{number}") if is_ref else None,
        value_type="ref" if is_ref else "blob",
        cardinality=rng.choice(("one", "many")) if is_ref else "one",
        table="t",
        column=label,
    )


def shape(catalog: Catalog) -> object:
    """Everything a catalog answers, in comparable form."""
    names = [
        (e, label)
        for e in ETYPES
        for label in ["id", *(f"{w}{n}" for n in range(40) for w in ("label", "reverse", "new"))]
    ]
    return (
        sorted(catalog.by_id),
        {e: (n.columns, set(n.pairs), n.id_attr) for e, n in catalog.namespaces.items()},
        {e: set(catalog.pointing_at(e)) for e in ETYPES},
        {name: (catalog.find_forward(*name), catalog.find_reverse(*name)) for name in names},
        catalog.wire(),
    )


@pytest.mark.rule("C40")
@pytest.mark.parametrize("seed", range(20))
def test_steps_and_whole_agree(seed):
    rng = random.Random(seed)
    catalog = Catalog(())
    current: dict[str, Attr] = {}
    id_owners: dict[str, str] = {}
    for number in range(40):
        attr = some_attr(number, rng)
        if attr.is_id and id_owners.setdefault(attr.etype, attr.id) != attr.id:
            continue
        changes = [attr]
        victims = [a for a in current.values() if not a.is_id]
        if victims and rng.random() < 0.5:
            victim = rng.choice(victims)
            changed = rng.choice(
                (
                    replace(victim, is_indexed=not victim.is_indexed),
                    replace(victim, deleted_ms=None if victim.deleted_ms else 1),
                    replace(victim, forward=replace(victim.forward, label=f"new{number}")),
                )
            )
            changes.append(changed)
        catalog = catalog.with_attrs(changes)
        current.update((a.id, a) for a in changes)
        assert shape(catalog) == shape(Catalog(current.values()))
