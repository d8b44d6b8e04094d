"""The quotas in force for each app, from what is set for it, for its holder and by the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trice.apps import quotas
from trice.apps.quotas import Allowed, Quotas
from trice.apps.registry import AppRow, Registry


@dataclass(frozen=True, slots=True)
class ServerQuotas:
    """What holds where nothing else is set.

    app, ephemeral   for each app that lasts, and for each throw-away one
    """

    app: Quotas = quotas.NONE
    ephemeral: Quotas = quotas.NONE


class Allowances:
    """Says what each app is allowed. Holds what the server sets, and no rows."""

    def __init__(self, registry: Registry, server: ServerQuotas, *, has_quotas: bool) -> None:
        """has_quotas   whether throw-away apps have the bounds of those"""
        self._registry = registry
        self._app = server.app
        self._ephemeral = server.ephemeral
        self._has_quotas = has_quotas

    def of(self, row: AppRow) -> Allowed:
        """The quotas in force for an app; 10 µs where it belongs to somebody."""
        is_ephemeral = row.expires_ms is not None and row.deleted_ms is None
        if not is_ephemeral:
            server = self._app
        elif self._has_quotas:
            server = quotas.over(self._ephemeral, quotas.ephemeral_quotas())
        else:
            server = self._ephemeral
        holder = quotas.NONE
        if row.owner is not None:
            holder = self.of_holder("owner", row.owner)
        elif row.org is not None:
            holder = self.of_holder("org", row.org)
        return quotas.resolve(
            row.quotas,
            holder,
            server,
            app_id=row.id,
            holder_kind="organisation" if row.owner is None else "account",
            is_ephemeral=is_ephemeral,
        )

    def of_holder(self, label: Literal["owner", "org"], holder: str) -> Quotas:
        """What is set for each app of an account or organisation; 10 µs."""
        return self._registry.holder_quotas(label, holder)
