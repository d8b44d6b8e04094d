"""A vault by its URL: a folder, or `s3://BUCKET/PREFIX?endpoint=…&region=…`."""

from __future__ import annotations

from pathlib import Path

from trice.backups.folder_vault import FolderVault
from trice.backups.vaults import Vault
from trice.errors import InvalidInput
from trice.files.files_url import parse_files_url
from trice.runtime import Runtime


def open_vault(url: str, *, flag: str, runtime: Runtime, is_shipping: bool = False) -> Vault:
    """The vault; nothing is touched yet.

    flag          the setting that the URL comes from, for errors
    is_shipping   it is for the log, which is written without a claim
    raises   InvalidInput for a URL that is none, or variables that do not fit each other
    """
    if "://" not in url:
        if not url or "\x00" in url:
            raise InvalidInput("param-malformed", f"--{flag} must be a folder, or s3://BUCKET/….")
        return FolderVault(Path(url), runtime=runtime, is_shipping=is_shipping)
    place = parse_files_url(url, flag=flag)
    assert place is not None, "`local` has no scheme"
    # Imported here: 15 MB that a server without a bucket does not need.
    from trice.backups.bucket_vault import BucketVault

    return BucketVault(place, flag=flag, runtime=runtime)
