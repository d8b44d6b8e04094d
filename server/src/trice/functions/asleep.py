"""How a job that sleeps ends its call."""

from __future__ import annotations


class AsleepError(BaseException):
    """The call ends; it is called again when its time has come. No code of the app catches it by
    `except Exception`."""
