"""Why approval is needed: the rules that applied, with the values they read, from the stored decision."""

from typing import Any

from orchestration.models import Revision


def policy(revision: Revision) -> dict[str, str]:
    """Which bundle decided."""
    bundle = revision.chain.decision.bundle
    return {"name": f"bundle {bundle.serial}", "digest": bundle.digest, "url": "/policies/"}


def rules(revision: Revision) -> list[dict[str, Any]]:
    """Rows of templates/components/policy_trace.html: what was demanded first, then what was warned of."""
    output = revision.chain.decision.output
    demanded = [_demand(stage) for stage in output.get("require", ())]
    warned = [_warning(rule) for rule in output.get("warn", ())]
    return [*demanded, *warned, _requester(revision)]


def _demand(stage: dict[str, Any]) -> dict[str, Any]:
    why = stage["why"]
    return {
        "title": why["message"],
        "source": why["rule"],
        "read": [{"path": one["path"], "value": _shown(one["value"])} for one in why.get("read", ())],
        "result": f"{stage['stage'].replace('_', ' ').capitalize()}: {stage['quorum']} needed",
        "kind": "matched",
    }


def _warning(rule: dict[str, Any]) -> dict[str, Any]:
    return {"title": rule["message"], "source": rule["rule"], "read": [], "result": "", "kind": "warning"}


def _requester(revision: Revision) -> dict[str, Any]:
    """The kernel's own rule, which no policy can switch off."""
    name = revision.change.requester
    return {
        "title": "The requester never counts",
        "source": "built in",
        "read": [{"path": "requester", "value": name.username}],
        "result": f"{name.name} is excluded",
        "kind": "matched",
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
