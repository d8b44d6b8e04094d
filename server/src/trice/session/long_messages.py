"""Reading long messages: on a thread, one at a time, networks in turn.

    submit ──> the network's lane ──> read on the thread ──> `then` on the loop ──> … ──> release

Decoding holds up every other thread, so there is one thread for it, and the weight of a message is
bounded (`weigh.py`). A decoded message takes many times the memory of its text, so few are under
way at a time: from the begin of their reading until they are answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trice import limits
from trice.errors import TriceError, without_traceback
from trice.runtime import Runtime
from trice.session.socket import MustClose
from trice.shares import ALL, Shares


class LongMessage:
    """One message: it waits, is under way, or is answered."""

    __slots__ = ("is_over", "is_under_way", "network", "read", "size_bytes", "then")

    def __init__(
        self,
        network: str,
        read: Callable[[], Any],
        then: Callable[[Any], None],
        *,
        size_bytes: int,
    ) -> None:
        self.network = network
        self.read = read
        self.then = then
        self.size_bytes = size_bytes
        self.is_under_way = False
        self.is_over = False


class LongMessages:
    """The messages that wait to be read, and those under way.

    Holds, for each message, the functions to read it and to handle it. Does not hold what was read.
    Bounds: a session has one message here and is not read meanwhile, limits.LONG_MESSAGES_MAX are
    under way, and limits.LONG_MESSAGES_BYTES_MAX wait, for which callers ask `has_room` first.
    After each message, its network rests for limits.LONG_MESSAGE_RESTS times as long as reading it
    took, because an inflated message can be a thousand times as long as what was sent.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._resting: dict[str, asyncio.Task[None]] = {}
        self._lanes: OrderedDict[str, deque[LongMessage]] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        self._waiting = Shares()
        self._is_reading = False
        self._executor: ThreadPoolExecutor | None = None
        self.is_stopped = False

    @property
    def waiting_bytes(self) -> int:
        """The size of the messages that are not read yet."""
        return self._waiting.used(ALL)

    @property
    def holds_nothing(self) -> bool:
        """Whether no message waits or is under way."""
        return not self._under_way and self._waiting.holds_nothing

    def has_room(self, network: str, size_bytes: int) -> bool:
        """Whether a message of this size may wait; if not, its sender is told to try later."""
        return self._waiting.has_room(size_bytes, _bounds(network))

    def submit(
        self,
        network: str,
        read: Callable[[], Any],
        then: Callable[[Any], None],
        *,
        size_bytes: int,
    ) -> LongMessage:
        """Run `read` on the thread when its turn comes, then `then` with the result on the loop.

        network   the network whose share of the thread it takes
        read     may touch nothing that the loop changes; an exception is its result
        then     not called if the message was released before
        size_bytes  what `read` holds, counted until it has run
        returns  the message, to be released once it is answered
        """
        message = LongMessage(network, read, then, size_bytes=size_bytes)
        self._waiting.add(size_bytes, _bounds(network))
        lane = self._lanes.get(network)
        if lane is None:
            lane = self._lanes[network] = deque()
        lane.append(message)
        self._begin()
        return message

    def release(self, message: LongMessage) -> None:
        """The message is answered, or not wanted any more. Safe to call twice."""
        if message.is_over:
            return
        message.is_over = True
        message.read = message.then = _nothing
        if message.is_under_way:
            # A message that is being read at this moment stays counted until that ends (`_end`).
            self._under_way[message.network] -= 1
            if not self._under_way[message.network]:
                del self._under_way[message.network]
        else:
            self._waiting.give_back(message.size_bytes, _bounds(message.network))
            lane = self._lanes[message.network]
            lane.remove(message)
            if not lane:
                del self._lanes[message.network]
        self._begin()

    def stop(self) -> None:
        """Read nothing more."""
        self.is_stopped = True
        for rest in self._resting.values():
            rest.cancel()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        if self._is_reading or self.is_stopped:
            return
        message = self._next()
        if message is None:
            return
        message.is_under_way = True
        self._under_way[message.network] += 1
        self._is_reading = True
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="trice-messages")
        loop = asyncio.get_running_loop()
        began_ms = self._runtime.monotonic_ms()
        future = loop.run_in_executor(self._executor, _caught, message.read)
        future.add_done_callback(lambda done: self._end(message, done, began_ms))

    def _next(self) -> LongMessage | None:
        """The oldest message of the first network that does not rest and may have another under
        way."""
        if self._under_way.total() >= limits.LONG_MESSAGES_MAX:
            return None
        for network, lane in self._lanes.items():
            if network in self._resting:
                continue
            if self._under_way[network] < limits.LONG_MESSAGES_OF_NETWORK_MAX:
                message = lane.popleft()
                if lane:
                    self._lanes.move_to_end(network)
                else:
                    del self._lanes[network]
                return message
        return None

    def _end(self, message: LongMessage, done: asyncio.Future[Any], began_ms: float) -> None:
        self._is_reading = False
        message.read = _nothing
        self._waiting.give_back(message.size_bytes, _bounds(message.network))
        rest_ms = limits.LONG_MESSAGE_RESTS * (self._runtime.monotonic_ms() - began_ms)
        if rest_ms > 0 and not self.is_stopped:
            task = asyncio.get_running_loop().create_task(self._rest(message.network, rest_ms))
            self._resting[message.network] = task
        if not done.cancelled() and not message.is_over:
            message.then(done.result())
        self._begin()

    async def _rest(self, network: str, rest_ms: float) -> None:
        await self._runtime.sleep_ms(rest_ms)
        del self._resting[network]
        self._begin()


def _bounds(network: str) -> dict[Hashable, int]:
    return {
        ALL: limits.LONG_MESSAGES_BYTES_MAX,
        (network,): limits.LONG_MESSAGES_BYTES_OF_NETWORK_MAX,
    }


def _caught(read: Callable[[], Any]) -> Any:
    """What `read` returns or raises, so that no exception is lost between threads."""
    try:
        return read()
    except (TriceError, MustClose) as failure:
        return without_traceback(failure)
    except Exception as failure:
        return failure


def _nothing(*_: Any) -> None:
    """Takes the place of the functions of a message that is over."""
