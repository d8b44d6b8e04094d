"""Messages of one client that are not handled yet, and when the next one may be handled.

    socket ──receive──> handled now | kept until its turn ──> handled
                         long: first read on a thread; later messages wait for it

While messages wait, the socket is not read, so that only bytes already on their way can come. If
too much waits even so, the session is closed with 1013.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, Protocol

from trice import limits
from trice.loop_shares import LoopShare
from trice.protocol.errors import TRY_LATER
from trice.session.incoming import Incoming
from trice.session.long_messages import LongMessage, LongMessages
from trice.session.loop_turns import LoopTurns
from trice.session.socket import ENDED, MustClose, Socket
from trice.session.state import Phase, SessionState

READING: Final = 1
"""Why a session is not read: one of its messages waits for its turn, or is read on a thread."""
FULL: Final = 2
"""Why a session is not read: it has as many unacknowledged transactions as it may."""


class LongReader(Protocol):
    """What reads long messages (`session/dispatch`)."""

    def read_long(self, incoming: Incoming) -> Any:
        """Read one long message, on a thread."""
        ...


class Receiver(Protocol):
    """What handles the messages: a session."""

    def on_message(self, raw: bytes) -> None:
        """Decode and carry out a short message."""
        ...

    def on_read(self, read: Any) -> None:
        """Carry out what reading a long message returned, or tell the client what it raised."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End the session."""
        ...


class Inbox:
    """Holds the messages that wait, the long message that is under way, and why the socket is not
    read. Does not know what messages mean.

    Invariant: messages are handled in order of arrival, a turn of the loop handles
    limits.SESSION_TURN_BYTES of them, and one long message at a time is under way.

    share   that of the app in each turn; None until `init` named the app
    """

    __slots__ = (
        "_caller",
        "_early",
        "_early_bytes",
        "_holds_long",
        "_is_reading",
        "_long",
        "_long_messages",
        "_pauses",
        "_reader",
        "_receiver",
        "_socket",
        "_spent_bytes",
        "_state",
        "_turn",
        "_turns",
        "_waits_for_turn",
        "share",
    )

    def __init__(
        self,
        socket: Socket,
        receiver: Receiver,
        *,
        state: SessionState,
        reader: LongReader,
        caller: str,
        long_messages: LongMessages,
        turns: LoopTurns,
    ) -> None:
        """
        caller   in whose turn long messages are read: a network, or the session alone
        """
        self.share: LoopShare | None = None
        self._socket = socket
        self._receiver: Receiver = receiver
        self._state = state
        self._reader = reader
        self._caller = caller
        self._long_messages = long_messages
        self._long: LongMessage | None = None
        self._holds_long = False
        self._is_reading = False
        self._pauses = 0
        self._turns = turns
        self._turn = -1
        self._spent_bytes = 0
        self._waits_for_turn = False
        # None until it is needed: an empty deque takes 760 bytes.
        self._early: deque[bytes | Incoming] | None = None
        self._early_bytes = 0

    @property
    def is_paused(self) -> bool:
        """Whether the socket is not read, for any reason."""
        return bool(self._pauses)

    def receive(self, raw: bytes | Incoming) -> None:
        """Handle one message, now or when its turn comes."""
        phase = self._state.phase
        if phase is Phase.OPENING or self._is_reading:
            self._keep(raw)
        elif phase is not Phase.CLOSED:
            if self._may_handle():
                self._handle(raw)
            else:
                self._keep(raw)
                self._wait_for_turn()

    def spend_turn(self) -> None:
        """Count a frame that is no message (a ping, a pong, a fragment) in this turn as if it
        were."""
        if self._is_reading or self._state.phase is Phase.CLOSED:
            return
        if self._may_handle():
            self._spent_bytes += limits.SESSION_TURN_OVERHEAD_BYTES
        else:
            self._wait_for_turn()

    def handle_early(self) -> None:
        """Handle what arrived while the app was being opened, or while messages waited."""
        while self._early and not self._is_reading:
            if self._state.phase not in (Phase.READY, Phase.WAITING):
                return
            if not self._may_handle():
                self._wait_for_turn()
                return
            raw = self._early.popleft()
            self._early_bytes -= len(raw) + limits.SESSION_HELD_OVERHEAD_BYTES
            self._handle(raw)
        if not self._early:
            self._early, self._early_bytes = None, 0

    def pause(self, reason: int) -> None:
        """Stop reading the socket. It is read again once every reason was taken back (`resume`)."""
        if not self._pauses:
            self._socket.pause_reading()
        self._pauses |= reason

    def resume(self, reason: int) -> None:
        """Take back a reason of `pause`."""
        was_paused, self._pauses = self._pauses, self._pauses & ~reason
        if was_paused and not self._pauses:
            self._socket.resume_reading()

    def hold_long(self) -> None:
        """The long message that was just read will be answered later; `end_long` must follow."""
        self._holds_long = True

    def end_long(self) -> None:
        """The long message under way is answered: the next one may be read."""
        self._holds_long = False
        if self._long is not None:
            message, self._long = self._long, None
            self._long_messages.release(message)
            if self._is_reading and self._state.phase is not Phase.CLOSED:
                self._go_on()

    def close(self) -> None:
        """Drop what waits, and handle nothing any more.

        This also drops the reference to the session, whose memory is then free without a
        collection.
        """
        self._socket, self._receiver = ENDED, _NOBODY
        self._early = None
        if not self._holds_long:
            self.end_long()

    # --- inside ----------------------------------------------------------------------------------

    def _may_handle(self) -> bool:
        """Whether this turn of the loop may handle another message of this session."""
        if self.share is not None and self.share.is_over:
            return False
        turn = self._turns.now()
        if turn != self._turn:
            self._turn, self._spent_bytes = turn, 0
        return self._spent_bytes < limits.SESSION_TURN_BYTES

    def _handle(self, raw: bytes | Incoming) -> None:
        size_bytes = len(raw)
        self._spent_bytes += size_bytes + limits.SESSION_TURN_OVERHEAD_BYTES
        if size_bytes > limits.MESSAGE_BYTES_ON_LOOP:
            self._read_long(raw)
        else:
            assert isinstance(raw, bytes), "what is Incoming is long"
            share = self.share
            if share is None or not share.begin():
                self._receiver.on_message(raw)
                return
            try:
                self._receiver.on_message(raw)
            finally:
                share.end()

    def _wait_for_turn(self) -> None:
        """Go on in the next turn of the loop."""
        self._is_reading = self._waits_for_turn = True
        self.pause(READING)
        if self.share is not None and self.share.is_over:
            self.share.later(self._on_turn, "messages")
        else:
            asyncio.get_running_loop().call_soon(self._on_turn)

    def _on_turn(self) -> None:
        if self._waits_for_turn:  # else handling went on already, maybe to a long message
            self._go_on()

    def _keep(self, raw: bytes | Incoming, *, is_first: bool = False) -> None:
        if self._early is None:
            self._early = deque()
        if is_first:
            self._early.appendleft(raw)
        else:
            self._early.append(raw)
        self._early_bytes += len(raw) + limits.SESSION_HELD_OVERHEAD_BYTES
        if self._state.phase is Phase.OPENING:
            is_full = (
                len(self._early) > limits.SESSION_EARLY_MESSAGES_MAX
                or self._early_bytes > limits.SESSION_EARLY_BYTES_MAX
            )
        else:
            is_full = self._early_bytes > limits.SESSION_HELD_BYTES_MAX
        if is_full:
            self._receiver.close(TRY_LATER, "too many messages at once")

    def _read_long(self, raw: bytes | Incoming) -> None:
        """Have a long message read on the thread. Messages after it wait, and a second long one
        waits until the first is answered."""
        if self._long is None and not self._long_messages.has_room(self._caller, len(raw)):
            self._receiver.close(TRY_LATER, "too many large messages wait")
            return
        self._is_reading = True
        self.pause(READING)
        if self._long is not None:
            self._keep(raw, is_first=True)
            return
        read_long = self._reader.read_long
        incoming = Incoming(raw, size_bytes=len(raw)) if isinstance(raw, bytes) else raw
        self._long = self._long_messages.submit(
            self._caller, lambda: read_long(incoming), self._on_read, size_bytes=len(raw)
        )

    def _on_read(self, read: Any) -> None:
        """Back on the loop: carry out the message, then those that came meanwhile."""
        self._is_reading = False
        if isinstance(read, MustClose):
            self._receiver.close(read.code, read.reason)
            return
        self._receiver.on_read(read)
        if not self._holds_long:
            self.end_long()
        self._go_on()

    def _go_on(self) -> None:
        self._is_reading = self._waits_for_turn = False
        if self._state.phase is Phase.CLOSED:
            return
        self.handle_early()
        if not self._is_reading:
            self.resume(READING)


class _Nobody:
    """Takes the place of the session once it is over, and ignores messages."""

    def on_message(self, raw: bytes) -> None: ...
    def on_read(self, read: Any) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


_NOBODY: Final = _Nobody()
