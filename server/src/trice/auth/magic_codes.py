"""Magic codes: six digits sent by e-mail. Each code signs in once.

`$magicCodes {codeHash, email}` keeps an HMAC of each, with a key of the server. There are only a
million codes, so a plain hash would tell the code to a thief of the file. Several codes of one
e-mail address work at a time, up to auth_limits.MAGIC_CODES_PER_EMAIL_MAX. Making one removes
expired codes, then the oldest.

source   instant-http §1.3, §6.3; spec/auth.md A40-A49
"""

from __future__ import annotations

import hmac
from typing import Final, Literal

from trice import auth_limits
from trice.apps.settings import Settings
from trice.auth.oauth.sealed import Seal
from trice.database import Change
from trice.errors import NotFound
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_rows

_CODES: Final = "$magicCodes"
_CODE_COUNT: Final = 1_000_000
_DRAW_BYTES: Final = 8
_DRAW_MAX: Final = 2 ** (8 * _DRAW_BYTES) // _CODE_COUNT * _CODE_COUNT

Consumed = Literal["right", "wrong", "expired"]


def new_code(runtime: Runtime) -> str:
    """Draw six digits, each code as likely as any other."""
    while True:
        drawn = int.from_bytes(runtime.random_bytes(_DRAW_BYTES), "big")
        if drawn < _DRAW_MAX:  # larger numbers would make the first codes likelier than the others
            return f"{drawn % _CODE_COUNT:06d}"


class MagicCodes:
    """Makes codes and uses them up.

    Holds the access to the server's key. Does not hold codes: they are rows of their app.
    """

    def __init__(self, seal: Seal, *, runtime: Runtime) -> None:
        self._seal = seal
        self._runtime = runtime

    def add(self, change: Change, email: str, *, settings: Settings) -> str:
        """Make a code for an e-mail address and return it; only its HMAC is stored."""
        code = new_code(self._runtime)
        stored = _stored(change, email)
        fresh = [row for row in stored if not _is_expired(row, change, settings)]
        surplus = len(fresh) - auth_limits.MAGIC_CODES_PER_EMAIL_MAX + 1
        kept = {row.fields["id"] for row in fresh[max(surplus, 0) :]}
        for row in stored:
            if row.fields["id"] not in kept:
                change.write(["delete", _CODES, row.fields["id"]])
        values = {"codeHash": self._hash(email, code), "email": email}
        change.write(["update", _CODES, new_key(self._runtime), values])
        return code

    def consume(self, change: Change, email: str, code: str, *, settings: Settings) -> Consumed:
        """Use a code up. An expired code is used up too.

        The codes of test users work every time.
        """
        hashed = self._hash(email, code)
        found = [row for row in _stored(change, email) if row.fields.get("codeHash") == hashed]
        fresh = [row for row in found if not _is_expired(row, change, settings)]
        for row in (fresh or found)[-1:]:
            change.write(["delete", _CODES, row.fields["id"]])
        if fresh or _is_test_code(settings, email, code):
            return "right"
        return "expired" if found else "wrong"

    def _hash(self, email: str, code: str) -> str:
        """The stored form. It depends on the e-mail address, so moved to another it is void."""
        key = self._seal.key_for("magic codes")
        return hmac.digest(key, f"{email} {code}".encode(errors="replace"), "sha256").hex()


def code_error(consumed: Literal["wrong", "expired"]) -> NotFound:
    """The error for a code that does not sign in. It tells nothing about the e-mail address."""
    if consumed == "expired":
        return NotFound(
            "record-expired",
            "Record expired: app-user-magic-code. The code is too old; ask for a new one.",
            {"record-type": "app-user-magic-code", "args": []},
        )
    return NotFound(
        "record-not-found",
        "Record not found: app-user-magic-code. The code is wrong or was used already.",
        {"record-type": "app-user-magic-code", "args": []},
    )


def expiry_text(settings: Settings) -> str:
    """How long codes work, in the words of the e-mail: `24 hours`, `10 minutes`."""
    count, unit = settings.code_expiry_minutes, "minute"
    if count % 60 == 0:
        count, unit = count // 60, "hour"
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def is_test_user(settings: Settings, email: str) -> bool:
    """Whether the e-mail address is that of a test user, whose code is fixed."""
    return any(user.email == email for user in settings.test_users)


def _stored(change: Change, email: str) -> list[FoundRow]:
    """The codes of an e-mail address, oldest first. Imported data may hold more than we make."""
    return find_rows(change, _CODES, "email", email, count=auth_limits.MAGIC_CODES_READ_MAX)


def _is_expired(row: FoundRow, change: Change, settings: Settings) -> bool:
    # Ages are compared in whole minutes, so the last minute is included (§1.6).
    age_minutes = (change.time_ms - row.created_ms) // 60_000
    return age_minutes > settings.code_expiry_minutes


def _is_test_code(settings: Settings, email: str, code: str) -> bool:
    return any(
        user.email == email and hmac.compare_digest(user.code.encode(), code.encode())
        for user in settings.test_users
    )
