"""What the doors of the log share: who may read it comes in, each act has its actor, a creating request its key."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.access import require_reader
from audit.ledger.entry import Actor
from audit.rest.strict import StrictSerializer

WhoAsks = Callable[[Request], Actor]
Once = Callable[
    ..., Response
]  # answers a creating request once for each Idempotency-Key: accounts live above


class Door(APIView):
    """Lets readers of the log in. `actor_of` and `once` come from the floor above, with the addresses."""

    actor_of: WhoAsks | None = None
    once: Once | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require_reader(request.user)

    def by(self) -> Actor:
        """Who knocks."""
        if self.actor_of is None:
            raise RuntimeError("the door does not know who knocks")
        return self.actor_of(self.request)

    def create(self, given: StrictSerializer, work: Callable[[Mapping[str, Any]], Any]) -> Response:
        """201 with what `work` makes of the input; a repeat with the same key gets the first answer."""
        if self.once is None:
            raise RuntimeError("the door does not know what it answered before")
        given.is_valid(raise_exception=True)
        return self.once(
            self.request,
            lambda form: (201, work(form)),
            prepare=lambda: given.validated_data,
            at=datetime.now(UTC),
        )
