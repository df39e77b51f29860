"""The web process: HTTP to Django, sockets to Channels."""

import io
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import django
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# WhiteNoise hands files out through synchronous iterators; they are small and read whole, so the hint changes nothing
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
django.setup()  # apps must be ready before the consumers are imported

from config.urls import websocket_urlpatterns  # noqa: E402

Message = MutableMapping[str, Any]


class Handler(ASGIHandler):
    """Views and middleware are synchronous: one thread runs a request from end to end, without hops between."""

    async def read_body(self, receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> io.BytesIO:
        """One byte more than belongs here at most, so that Django refuses it by its size; the rest is forgotten.

        Django itself would write all of it to the disk before anybody asks who sent it."""
        kept, room = io.BytesIO(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            room -= kept.write(message.get("body", b"")[:room])
            more = message.get("more_body", False)
        kept.seek(0)
        return kept

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


POOL = {
    "min_size": 1,
    "max_size": 20,
    "timeout": 10,
}  # connections of one web process; seconds to wait for one


async def lifespan(
    _: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The web process begins: from here on connections are pooled, for each request has a thread of its own."""
    while True:
        phase = (await receive())["type"]
        if phase == "lifespan.startup":
            database = settings.DATABASES["default"]
            database["CONN_MAX_AGE"] = 0  # given back at the end of the request
            database["OPTIONS"]["pool"] = POOL
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


application = ProtocolTypeRouter(
    {
        "http": Handler(),
        "lifespan": lifespan,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
