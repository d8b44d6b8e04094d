"""Deliveries of webhooks, checked without a client: by keys that the caller has.

`db.webhooks` asks the server for its keys, and for what a delivery tells of.
"""

from trice_client._webhooks import (
    TOLERANCE_S,
    WebhookBody,
    WebhookPayload,
    WebhookRecord,
    verify,
)

__all__ = ["TOLERANCE_S", "WebhookBody", "WebhookPayload", "WebhookRecord", "verify"]
