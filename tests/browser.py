"""A person's browser that speaks the API, the request that most tests send, and a worker for all that is ready."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from django.test import Client

from accounts.models import User
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.models import Step
from tests.factories import Bank

ASK = {"workflow": "deploy", "service": "web-bank", "environment": "production", "inputs": {"version": "42"}}
REQUEST = {**ASK, "reason": "The new transfer page."}


PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"


def sign_in(client: Client, user: User) -> Client:
    """As the sign-in page does it: the session says since when."""
    client.force_login(user, backend=PASSWORD_BACKEND)
    opened = client.session
    opened["since"] = datetime.now(UTC).isoformat()
    opened.save()
    return client


class Browser:
    """One person's session, with the CSRF token and a fresh key for each request."""

    def __init__(self, bank: Bank, who: str) -> None:
        self.user = bank.user(who)
        self.client = sign_in(Client(), self.user)

    def get(self, path, **query):
        return self.client.get(f"/api/v1/{path}", query)

    def post(self, path, body=None, *, key=None, **headers):
        headers["Idempotency-Key"] = key or str(uuid4())
        return self.client.post(
            f"/api/v1/{path}", json.dumps(body or {}), content_type="application/json", headers=headers
        )

    def patch(self, path, body, **headers):
        return self.client.patch(
            f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers
        )


def decision(change, stage, said="approve", **changed):
    """What a reviewer sends after reading `change`."""
    found = next(one for one in change["chain"]["stages"] if one["name"] == stage)
    return {
        "stage": found["id"],
        "decision": said,
        "digest": change["digest"],
        "chain_digest": change["chain"]["digest"],
        "comment": "Read it.",
        **changed,
    }


def run_all():
    """A worker takes every step that is ready, and what follows."""
    node = Node()
    node.register()
    for step in Step.objects.filter(state="ready"):
        work(step.pk, node=node)
