"""One room: its members, and what a member that was told an earlier state must be told. No I/O.

    put, remove ──> changed members ──cut──> a patch, version + 1
    since(version) ──> the patches after it, or the whole state

Every patch and state is encoded once, and is the same bytes for all members.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from trice import room_limits
from trice.protocol import down
from trice.protocol.shared import Frame, SharedFrame
from trice.rooms.presence import Presence, edits_between

UNTOLD: Final = -1
"""The version of a member that was told nothing yet."""


class Room:
    """Holds the presence of each member, the changes since the last patch, and the latest patches.
    Does not know sessions, or what was told to whom.

    Bounds: room_limits.ROOM_MEMBERS_MAX, ROOM_PRESENCE_BYTES_MAX (the caller asks `has_room`),
    PATCHES_KEPT.

    version       counts the patches
    members       by peer id
    """

    __slots__ = (
        "_before",
        "_patches",
        "_size_bytes",
        "_state",
        "id",
        "members",
        "version",
    )

    def __init__(self, room_id: str) -> None:
        self.id = room_id
        self.members: dict[str, Presence] = {}
        self.version = 0
        self._size_bytes = 0
        # What the changed members showed before their first change since the last patch.
        self._before: dict[str, Presence | None] = {}
        self._patches: deque[SharedFrame] = deque(maxlen=room_limits.PATCHES_KEPT)
        self._state: SharedFrame | None = None

    @property
    def size_bytes(self) -> int:
        """About how large its whole state is as JSON."""
        return self._size_bytes

    def is_changed(self, peer_id: str) -> bool:
        """Whether a member differs from what the latest patch told."""
        return peer_id in self._before

    def has_room(self, presence: Presence) -> bool:
        """Whether the room may hold this member, in place of what it showed before."""
        old = self.members.get(presence.peer_id)
        members = len(self.members) + (old is None)
        size_bytes = self._size_bytes + len(presence) - (0 if old is None else len(old))
        return (
            members <= room_limits.ROOM_MEMBERS_MAX
            and size_bytes <= room_limits.ROOM_PRESENCE_BYTES_MAX
        )

    def put(self, presence: Presence) -> None:
        """A member came, or shows something else."""
        old = self.members.get(presence.peer_id)
        self._note(presence.peer_id, old)
        self.members[presence.peer_id] = presence
        self._size_bytes += len(presence) - (0 if old is None else len(old))

    def remove(self, peer_id: str) -> Presence | None:
        """A member left; returns what it showed last."""
        old = self.members.pop(peer_id, None)
        if old is not None:
            self._note(peer_id, old)
            self._size_bytes -= len(old)
        return old

    def cut(self) -> bool:
        """Make one patch of all changes since the last; return whether anything differs."""
        before, self._before = self._before, {}
        edits = [
            edit
            for peer_id, old in before.items()
            for edit in edits_between(old, self.members.get(peer_id))
        ]
        if not edits:
            return False
        self.version += 1
        self._state = None
        self._patches.append(down.patch_presence(self.id, edits))
        return True

    def since(self, version: int) -> list[Frame]:
        """The messages for a member that was told the state of `version`; call `cut` before."""
        behind = self.version - version
        if version == UNTOLD or behind > len(self._patches):
            return [self._whole()]
        if behind <= 0:
            return []
        frames: list[Frame] = list[Frame](self._patches)[-behind:]
        if behind > 1 and sum(map(len, frames)) > self._size_bytes:
            return [self._whole()]
        return frames

    def _note(self, peer_id: str, old: Presence | None) -> None:
        self._before.setdefault(peer_id, old)

    def _whole(self) -> SharedFrame:
        """The whole state."""
        if self._state is None:
            entries = {peer_id: one.entry() for peer_id, one in self.members.items()}
            self._state = down.refresh_presence(self.id, entries)
        return self._state
