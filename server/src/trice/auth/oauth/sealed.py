"""Secrets of OAuth clients at rest. The key that encrypts them is not in the database; keys of
other secrets are derived from it.

Format, as hex: "74726331" ("trc1"), nonce of 12 bytes, AES-256-GCM ciphertext and tag. The id of
the entity that holds the secret is authenticated too, so a secret cannot be moved to another
entity.

source   instant-http §1.13, §5.7; spec/auth.md A90-A93
"""

from __future__ import annotations

import hmac
import os
import re
from pathlib import Path
from typing import Final

from trice.errors import InvalidInput, PermissionDenied, Unavailable
from trice.runtime import Runtime

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MAGIC: Final = b"trc1"
_KEY_TEXT: Final = re.compile(r"[0-9a-fA-F]{64}")


class Seal:
    """Seals and opens secrets.

    Holds the server's key, from TRICE_SECRET_KEY or data-dir/secret.key, which is made when first
    needed.
    """

    def __init__(self, data_dir: Path, *, secret_key: str | None, runtime: Runtime) -> None:
        """Use the key `secret_key` (64 hex digits), or with None the one in `data_dir`.

        raises   InvalidInput when `secret_key`, or the content of the file, is something else
        """
        if secret_key is not None and _KEY_TEXT.fullmatch(secret_key) is None:
            raise InvalidInput(
                "param-malformed",
                "TRICE_SECRET_KEY must be 64 hexadecimal digits (32 random bytes, for example from"
                " `openssl rand -hex 32`).",
            )
        self._path = data_dir / "secret.key"
        self._key = _load_key(self._path) if secret_key is None else bytes.fromhex(secret_key)
        self._keys_for: dict[str, bytes] = {}
        self._runtime = runtime

    def seal(self, secret: str, *, holder: str) -> str:
        """Encrypt `secret`, to be stored in the entity `holder`."""
        # Imported by the first secret: most servers have none, and it takes 6 MB.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = self._runtime.random_bytes(_NONCE_BYTES)
        cipher = AESGCM(self._get_key()).encrypt(nonce, secret.encode(), holder.encode())
        return (_MAGIC + nonce + cipher).hex()

    def open(self, sealed: str, *, holder: str) -> str:
        """The secret stored in the entity `holder`.

        raises   PermissionDenied("oauth-error") when this server's key does not open it: the secret
                 was imported from elsewhere, or the key was changed
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            raw = bytes.fromhex(sealed)
            if not raw.startswith(_MAGIC):
                raise _unreadable()
            nonce, cipher = raw[4 : 4 + _NONCE_BYTES], raw[4 + _NONCE_BYTES :]
            return AESGCM(self._get_key()).decrypt(nonce, cipher, holder.encode()).decode()
        except (ValueError, InvalidTag) as cause:
            raise _unreadable() from cause

    def key_for(self, purpose: str) -> bytes:
        """A key of 32 bytes for another purpose than sealing. It tells nothing about other keys."""
        made = self._keys_for.get(purpose)
        if made is None:
            made = hmac.digest(self._get_key(), f"trice {purpose}".encode(), "sha256")
            self._keys_for[purpose] = made
        return made

    def _get_key(self) -> bytes:
        if self._key is None:
            self._key = _make_key(self._path, self._runtime)
        return self._key


def _load_key(path: Path) -> bytes | None:
    if not path.exists():
        return None
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if _KEY_TEXT.fullmatch(text) is None:
        raise InvalidInput(
            "param-malformed",
            f"{path} does not hold a key of 64 hexadecimal digits. Restore it from a backup; with a"
            " new key, every secret of an OAuth client must be entered again.",
        )
    return bytes.fromhex(text)


def _make_key(path: Path, runtime: Runtime) -> bytes:
    key = runtime.random_bytes(KEY_BYTES)
    try:
        _write_key(path, key)
    except OSError as cause:
        problem = "The server's disk does not accept its secret key. Try again."
        raise Unavailable("overloaded", problem) from cause
    return key


def _write_key(path: Path, key: bytes) -> None:
    # Written beside and renamed, so that a crash leaves no half of a key that secrets depend on.
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unreadable() -> PermissionDenied:
    return PermissionDenied(
        "oauth-error",
        "The client secret of this OAuth client cannot be opened with this server's key: it was"
        " imported from another server, or the key was changed. Enter the secret again.",
    )
