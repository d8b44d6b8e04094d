"""The one error of this client. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trice_client._json import is_list, is_mapping

_QUOTED_CHARACTERS = 200


class TriceError(Exception):
    """A failure of the server or of this client. Match `code`, never the message.

    code      of the registry in spec/errors.md, or one of the client's own: `offline`,
              `call-lost`, `value-malformed`, `not-entered`, `closed`, …
    message   one sentence for people
    hint      for programs: where it was, and what is accepted
    status    that of the HTTP answer, if one came
    trace_id  names the failure in the server's log
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: Mapping[str, Any] | None = None,
        status: int | None = None,
        trace_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint: Mapping[str, Any] = hint or {}
        self.status = status
        self.trace_id = trace_id
        self.is_unsent = False
        """The server cannot have begun it: no connection was made."""
        self.is_silence = False
        """An answer began, and then nothing came for too long."""

    @property
    def path(self) -> list[Any] | None:
        """Where it was wrong, from the top of what was sent."""
        found = self._told("path", "in")
        return found if is_list(found) else None if found is None else [found]

    @property
    def expected(self) -> Any:
        """What is accepted there, if the server says it."""
        return self._told("expected")

    @property
    def reason(self) -> str | None:
        """Of `function-error`: the code that the function gave it."""
        found = self.hint.get("code")
        return found if isinstance(found, str) else None

    @property
    def data(self) -> Any:
        """Of `function-error`: the data that the function gave along."""
        return self.hint.get("data")

    @property
    def retry_after_s(self) -> float | None:
        """When it may be tried again, if the server says it."""
        found = self.hint.get("retry-after")
        return found / 1000 if isinstance(found, int | float) else None

    def _told(self, *names: str) -> Any:
        errors = self.hint.get("errors")
        first = errors[0] if is_list(errors) and errors else None
        for told in (self.hint, first):
            for name in names:
                if is_mapping(told) and name in told:
                    return told[name]
        return None

    def __repr__(self) -> str:
        shown = {"path": self.path, "expected": self.expected, "status": self.status}
        more = "".join(f", {name}={value!r}" for name, value in shown.items() if value is not None)
        return f"TriceError({self.code!r}, {self.message!r}{more})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments alone would be lost between processes.
        return _again, (self.code, self.message, dict(self.hint), self.status, self.trace_id)

    @classmethod
    def of(cls, body: object, status: int | None = None) -> TriceError:
        """Reads an `error` message, or the body of an HTTP error."""
        given: Mapping[str, Any] = body if is_mapping(body) else {}
        code, message, hint = given.get("type"), given.get("message"), given.get("hint")
        told, trace = given.get("status"), given.get("trace-id")
        return cls(
            code if isinstance(code, str) else "unknown",
            message if isinstance(message, str) else "The server answered with an error.",
            hint=hint if is_mapping(hint) else None,
            status=told if isinstance(told, int) else status,
            trace_id=trace if isinstance(trace, str) else None,
        )


def _again(
    code: str, message: str, hint: dict[str, Any], status: int | None, trace_id: str | None
) -> TriceError:
    return TriceError(code, message, hint=hint, status=status, trace_id=trace_id)


def not_ours(text: str, status: int) -> TriceError:
    """An error that no trice server made: a page of a proxy before it."""
    shown = text[:_QUOTED_CHARACTERS]
    return TriceError("unknown", f"The server answered {status}: {shown}", status=status)
