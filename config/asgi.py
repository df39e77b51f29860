"""The web process: HTTP to Django, sockets to Channels."""

import os
import warnings

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# WhiteNoise hands files out through synchronous iterators; they are small and read whole, so the hint changes nothing
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
_http = get_asgi_application()  # apps must be ready before the consumers are imported

from config.urls import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": _http,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
