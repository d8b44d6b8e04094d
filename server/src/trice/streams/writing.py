"""An action as the writer of a stream, from its first word to its end.

begin ──write, write, …──> finish: done, and durable
                └───────── abandon: done, and aborted
"""

from __future__ import annotations

from collections.abc import Callable

from trice.apps.apps import App
from trice.database import Change
from trice.streams import requests
from trice.streams.live import Live
from trice.streams.streams import Streams


class Writing:
    """Holds the place of a writer until `finish` or `abandon`, one of which must follow."""

    def __init__(self, streams: Streams, live: Live, party: requests.Appending) -> None:
        """Use `Writing.begin`."""
        self._streams = streams
        self._live = live
        self._party = party
        self._failures = live.failures

    @staticmethod
    async def begin(
        streams: Streams,
        app: App,
        *,
        client_id: str,
        network: str,
        fill: Callable[[Change, str], None],
    ) -> Writing:
        """Make a stream. network   in whose share of memory and bytes it counts

        Arguments and what is raised are those of `Streams.begin`; LimitExceeded("rate-limited").
        """
        party = requests.Appending(network)
        live = await streams.begin(app, client_id=client_id, writer=party, fill=fill)
        return Writing(streams, live, party)

    @property
    def id(self) -> str:
        return self._live.stream.id

    async def write(self, text: str) -> None:
        """Append text, once there is room for it: while the disk is behind it waits.

        raises   NotFound: the stream was deleted; Unavailable: what was written could not be
                 stored, or there is no room; LimitExceeded
        """
        data = text.encode("utf-8", "replace")
        if not data:
            return
        await requests.wait_for_room(self._live, self._party, self._failures)
        requests.check_room(self._live, len(data), self._party.network)
        requests.append_text(self._streams, self._live, self._party, data, is_done=False)

    async def finish(self) -> None:
        """The stream is done; all of it is durable when this returns. Raises as `write`."""
        live = self._live
        requests.check_writes(live, self._party, self._failures)
        requests.append_text(self._streams, live, self._party, b"", is_done=True)
        end = live.stream.end
        self._streams.leave(live, self._party)
        with live.used():
            await requests.durable(live, end, is_done=True, failures=self._failures)
        self._streams.forget_if_idle(live)

    def abandon(self, reason: str) -> None:
        """The stream is aborted, for this reason. What was written stays."""
        self._streams.abandon(self._live, self._party, reason)
