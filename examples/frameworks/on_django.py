"""Django, in one file: a user's token, checked and acted for; webhooks."""

from __future__ import annotations

import os
from collections.abc import Callable

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from trice_client import Client, TriceError

db = Client(
    os.environ["TRICE_APP"],
    server=os.environ["TRICE_URL"],
    admin_token=os.environ["TRICE_ADMIN_TOKEN"],
)


class AsUser:
    """Middleware: a view has `request.trice`, the client as the user sees it, or as a guest."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("authorization")
        try:
            request.trice = db.as_guest() if given is None else db.as_user(db.auth.verify(given))
        except TriceError as error:
            return self.process_exception(request, error)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TriceError):
            return None
        return JsonResponse({"error": error.message}, status=error.status or 503)


def todos(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.trice.query({"todos": {}})["todos"], safe=False)


@csrf_exempt
def hook(request: HttpRequest) -> HttpResponse:
    payload = db.webhooks.receive(request.headers.get("instant-signature"), request.body)
    return JsonResponse({"changes": len(payload["data"])})


urlpatterns = [path("todos", todos), path("hook", hook)]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"], MIDDLEWARE=[f"{__name__}.AsUser"], ROOT_URLCONF=__name__, USE_TZ=True
    )
app = get_wsgi_application()
