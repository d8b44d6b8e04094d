"""Password hashes: argon2id, off the event loop, a bounded number at a time.

source   RFC 9106; spec/auth.md A156-A158, A168
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from trice import auth_limits
from trice.errors import Unavailable
from trice.runtime import Runtime

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")


def _unpadded(raw: bytes) -> str:
    return b64encode(raw).decode().rstrip("=")


NOBODYS_HASH: Final = (
    f"$argon2id$v=19$m={auth_limits.PASSWORD_HASH_MEMORY_KIB},t={auth_limits.PASSWORD_HASH_PASSES}"
    f",p={auth_limits.PASSWORD_HASH_LANES}${_unpadded(bytes(auth_limits.PASSWORD_SALT_BYTES))}"
    f"${_unpadded(bytes(auth_limits.PASSWORD_HASH_BYTES))}"
)
"""A hash to compare with when there is no user, as the answer must take as long as for a wrong
password. No password with this hash is known, and a match would not sign in."""


class PasswordHashes:
    """Computes and compares hashes on threads.

    Holds the number of hashes under way or waiting. Does not hold passwords or hashes.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._threads = ThreadPoolExecutor(
            auth_limits.PASSWORD_HASHES_AT_ONCE, thread_name_prefix="password"
        )
        self._waiting = 0

    async def make(self, password: bytes) -> str:
        """The hash of a normalised password, with its salt and parameters (PHC string).

        raises  Unavailable("overloaded") when too many wait
        cost    40 ms on a thread
        """
        salt = self._runtime.random_bytes(auth_limits.PASSWORD_SALT_BYTES)
        return await self._take_turn(lambda: make_hasher().hash(password, salt=salt))

    async def is_match(self, password: bytes, stored: str | None) -> bool:
        """Whether `stored` is a hash of `password`. Without `stored` False, after the same time.

        raises  Unavailable("overloaded") when too many wait
        cost    40 ms on a thread
        """

        def compare() -> bool:
            from argon2.exceptions import VerificationError

            try:
                return make_hasher().verify(stored or NOBODYS_HASH, password)
            except VerificationError:
                return False

        return await self._take_turn(compare) and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether `stored` was made with other parameters than today's."""
        return make_hasher().check_needs_rehash(stored)

    async def _take_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= auth_limits.PASSWORD_HASHES_WAITING_MAX:
            raise Unavailable(
                "overloaded",
                f"This server is checking {self._waiting} passwords; try again in some seconds.",
            )
        self._waiting += 1
        turn = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # The work itself counts down, not its caller: a thread goes on if the caller leaves.
        turn.add_done_callback(self._count_down)
        return await asyncio.shield(turn)

    def _count_down(self, _: object) -> None:
        self._waiting -= 1


def make_hasher() -> PasswordHasher:
    # Imported by the first password: it takes 4 MB; an idle server has 60.
    from argon2 import PasswordHasher, Type

    return PasswordHasher(
        time_cost=auth_limits.PASSWORD_HASH_PASSES,
        memory_cost=auth_limits.PASSWORD_HASH_MEMORY_KIB,
        parallelism=auth_limits.PASSWORD_HASH_LANES,
        hash_len=auth_limits.PASSWORD_HASH_BYTES,
        salt_len=auth_limits.PASSWORD_SALT_BYTES,
        type=Type.ID,
    )
