"""The act by which a policy from Git becomes the one that judges; the one before it judges the request."""

from typing import Any, ClassVar
from uuid import UUID

from approvals.models import Bundle
from approvals.policy import commits
from audit.ledger.entry import Actor
from audit.refusals import Refusal
from orchestration.governed.act import Act, Faults, Given, chosen


class ActivatePolicy(Act):
    name = "policy.activate"
    title = "Let a policy judge"
    summary = "Let the policy {{inputs.bundle}} judge"
    description = (
        "From then on it says who must agree to what. Its authors never agree to it. An older policy returns in the"
        " same way, under a new number."
    )
    inputs: ClassVar = {"bundle": chosen("Policy", "bundles", pattern="^sha256:[0-9a-f]{64}$")}

    def faults(self, given: Given) -> Faults:
        try:
            commits.sound(given["bundle"])
        except Refusal as refusal:
            return {"bundle": str(refusal)}
        return {"bundle": "It judges already."} if self.holds(given) else {}

    def concerns(self, given: Given) -> frozenset[UUID]:
        return frozenset(user.pk for user in commits.authors_of(given["bundle"]))

    def holds(self, given: Given) -> bool:
        return Bundle.objects.filter(active=True, digest=given["bundle"]).exists()

    def prepare(self, given: Given) -> Any:
        return commits.examined(given["bundle"])

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        commits.activate(prepared, by=by)
