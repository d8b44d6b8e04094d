"""Every bound of judging room rules. The sizes of rules and judgements are in `limits`."""

from __future__ import annotations

ROOM_READS_MAX = 64
"""Rows and links that one membership waits for. One whose rules read more is judged again after
every commit."""

ROOM_JUDGEMENTS_PER_TURN = 10
"""Memberships that are judged again in one turn of the loop, 30 to 100 µs each. The others wait
for the next turn."""

ROOM_JUDGEMENT_RETRY_MS = 1_000
"""When memberships are judged again that could not be judged because the server has no room for
reads. Until then they last."""
