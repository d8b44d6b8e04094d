"""Whether changes move the rows of a level that has some of the linked entities only. No I/O.

Behind the last row of each parent may be others, of which nothing is in memory. So a level of which
any parent may gain or lose an entity, or have its entities in another order, is run again.
"""

from __future__ import annotations

from typing import Final

from trice.live.changes import Changes, EntityNews
from trice.live.patch.kept import Level
from trice.protocol.ids import AttrId, EntityId
from trice.store.commit import Image

_NO_NEWS: Final[dict[EntityId, EntityNews]] = {}


def is_cut_moved(level: Level, parent: Level, changes: Changes) -> bool:
    """Whether the level must be run again: whatever else changed replaces rows that it shows.

    cost   O(changed entities of the namespace, and changed pairs of the link)
    """
    form = level.form
    assert form.via is not None
    link = form.via.attr
    news = changes.entities.get(form.etype, _NO_NEWS).values()
    if form.held == "pairs":
        at = 0 if form.via.is_forward else 1
        if any(pair[at] in parent.rows for pair in changes.pairs.get(link.id, ())):
            return True
        # Whom an entity is linked with that is not shown is not known.
        return any(_decides(level, one) for one in news)
    return any(
        _decides(level, one)
        and (
            one.id in level.rows
            or any(_target(image, link.id) in parent.rows for image in (one.old, one.new))
        )
        for one in news
    )


def _decides(level: Level, one: EntityNews) -> bool:
    """Whether what changed of an entity can decide if, and where, it is on the level."""
    deciding = level.deciding
    return one.is_birth or deciding.is_masked or not one.changed.isdisjoint(deciding.tested)


def _target(image: Image | None, link_id: AttrId) -> object:
    """The id that an image has in its link, if any."""
    return None if image is None else image.cells.get(link_id)
