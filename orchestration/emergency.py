"""Who may break glass, and what they must say. What the kernel then demands stands in `approvals/emergency.py`.

It must never make a change an emergency: only the door that is called so passes an `Emergency` on.
"""

from accounts import permissions
from accounts.acting import Acting
from accounts.models import User
from audit.refusals import NotAllowed
from orchestration.definitions.digest import Emergency
from orchestration.definitions.source import CONTROL
from orchestration.models import CONTROL_ROOM, Environment

INCIDENT_MAX = 200


def require(emergency: Emergency | None, environment: Environment, *, by: Acting) -> None:
    """A person in a browser, in a team that was granted it for this environment."""
    if emergency is None:
        return
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise NotAllowed("Only a person in a browser breaks glass; nothing was sent. A token never does.")
    if environment.slug == CONTROL_ROOM:
        raise NotAllowed(
            "Nobody breaks glass over who must agree; nothing was sent. Request it the normal way."
        )
    permissions.require(by.user, "break_glass", environment)


def faults(emergency: Emergency | None) -> list[dict[str, str]]:
    """What is wrong with the words, by pointer."""
    if emergency is None:
        return []
    incident = emergency.incident
    if not incident.strip():
        return [{"pointer": "/incident", "detail": "Name the incident: its number, or where it is tracked."}]
    if len(incident) > INCIDENT_MAX or CONTROL.search(incident) or "\n" in incident:
        detail = f"An incident's name has at most {INCIDENT_MAX} characters, on one line."
        return [{"pointer": "/incident", "detail": detail}]
    return []
