"""Deliveries of webhooks: checked, and what they tell of fetched."""

from __future__ import annotations

from trice_client._asked import Asked
from trice_client._async.requests import AsyncRequests
from trice_client._webhooks import (
    JWKS_PATH,
    TOLERANCE_S,
    WebhookBody,
    WebhookPayload,
    parts_of,
    verify,
)


class AsyncWebhooks:
    """`db.webhooks`, for an endpoint that webhooks call. It needs no token, but `cryptography`.

    payload = await db.webhooks.receive(headers.get("instant-signature"), body)
    """

    def __init__(self, requests: AsyncRequests) -> None:
        self._requests = requests

    async def receive(
        self, signature: str | None, body: bytes | str, *, tolerance_s: float = TOLERANCE_S
    ) -> WebhookPayload:
        """The changes that a delivery tells of, once it is known to be the server's.

        Answer with an error where this raises: the server tries again for two days, so the same
        change may come twice, with one `idempotencyKey`.

        raises   as `verify` and `payload`
        """
        return await self.payload(await self.verify(signature, body, tolerance_s=tolerance_s))

    async def verify(
        self,
        signature: str | None,
        body: bytes | str,
        *,
        received_s: float | None = None,
        tolerance_s: float = TOLERANCE_S,
    ) -> WebhookBody:
        """What a delivery holds, if the server sent it lately (`trice_client.webhooks.verify`).

        The keys are asked for once, and again for a new key id, every ten seconds at most.

        raises   TriceError("signature-invalid"), of status 401
        """
        _, kid, _ = parts_of(signature)
        known = self._requests.webhook_keys
        keys = known.find(kid)
        if keys is None:
            keys = (await self._requests.json(Asked("GET", JWKS_PATH, has=("keys", list))))["keys"]
            known.note(keys)
        return verify(signature, body, keys, received_s=received_s, tolerance_s=tolerance_s)

    async def payload(self, body: WebhookBody) -> WebhookPayload:
        """What a delivery tells of. raises   TriceError("record-not-found") once it is gone"""
        headers = {"authorization": f"Bearer {body['token']}"}
        asked = Asked("GET", body["payloadUrl"], headers=headers)
        found: WebhookPayload = await self._requests.json(asked)
        return found
