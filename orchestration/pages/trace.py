"""Why approval is needed: the rules that applied to a revision, and the one that is built in."""

from collections.abc import Mapping
from typing import Any

from approvals.pages import why as shown
from approvals.policy import bundles, contract
from approvals.policy.why import Records, explain
from orchestration.models import Environment, Service, WorkflowVersion
from orchestration.pages import facts
from orchestration.pages.facts import Content


def policy(revision: Content) -> dict[str, str]:
    """Which bundle decided."""
    return shown.policy(facts.decision_of(revision).bundle)


def rules(revision: Content) -> list[dict[str, Any]]:
    """Rows of templates/components/policy_trace.html, from the stored decision."""
    decision = facts.decision_of(revision)
    known = records(revision.workflow_version)
    whys = explain(decision.bundle, decision.input, decision.output, records=known)
    return [*shown.rows(whys, decision.bundle), _requester(revision)]


def previewed(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The same for a request that is only thought of."""
    bundle = bundles.active()
    known = records_of(found["facts"])
    return shown.rows(explain(bundle, found["facts"], found, records=known), bundle)


def records_of(facts: Mapping[str, Any]) -> Records:
    """The same for what policy was asked; nothing where no workflow of ours was meant."""
    version = WorkflowVersion.objects.filter(digest=contract.lookup(facts, "input.workflow.digest")).first()
    return records(version) if version else {}


def records(version: WorkflowVersion) -> Records:
    """Where else it could land, and what else it could change: what a rule may be silent about."""
    places = Environment.objects.filter(slug__in=version.environments)
    return {
        "input.environment": list(places.values("slug", "tier", "protected")),
        "input.service": [
            {"slug": one.slug, "tier": one.tier, "owner": one.owner.slug}
            for one in Service.objects.select_related("owner")
        ],
    }


def _requester(revision: Content) -> dict[str, Any]:
    """The kernel's own rule, which no policy can switch off."""
    name = revision.change.requester
    return {
        "title": "The requester never counts",
        "source": "built in",
        "read": [{"path": "requester", "value": name.username}],
        "result": f"{name.name} is excluded",
        "kind": "matched",
    }
