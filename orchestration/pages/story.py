"""The timeline of a change: its ledger entries and its comments in one stream, oldest first."""

from datetime import datetime
from typing import Any
from uuid import UUID

from audit.ledger import openings
from audit.models import Entry
from audit.names import Names
from orchestration.models import Change, Comment

LIMIT = 200  # entries of one change on its page; the audit log holds the rest

VERBS = {
    "change.requested": ("requested this change", "info"),
    "change.revised": ("edited it", "info"),
    "plan.asked": ("asked what would change", "planned"),
    "plan.settled": ("looked at what the plan found", "planned"),
    "chain.opened": ("opened the approval chain", "info"),
    "chain.completed": ("completed the approvals", "approved"),
    "change.draft": ("let it be planned anew; nobody is asked meanwhile", "draft"),
    "change.withdrawn": ("withdrew it", "withdrawn"),
    "change.expired": ("let it expire", "expired"),
    "change.running": ("started it", "running"),
    "change.succeeded": ("finished it: succeeded", "succeeded"),
    "change.failed": ("finished it: failed", "failed"),
    "change.cancelled": ("stopped it", "cancelled"),
    "change.unknown": ("lost track of a step; a person must look", "unknown"),
    "sign_off.withdrawn": ("withdrew a sign-off", "cancelled"),
    "chain.recused": ("has a conflict of interest and takes no part", "hand_over"),
    "obligation.opened": ("set an obligation", "obligation"),
    "obligation.closed": ("closed an obligation", "closed"),
    "stage.overdue": ("told those who may decide that it is past due:", "overdue"),
    "stage.reminded": ("reminded those who may decide:", "overdue"),
    "stage.claimed": ("is reviewing", "person"),
    "stage.handed_over": ("handed over to", "hand_over"),
    "evidence.attached": ("attached evidence:", "info"),
    "evidence.removed": ("removed a file that was given as evidence", "cancelled"),
    "review.opened": ("left a review to two people who took no part", "review"),
    "review.concluded": ("reviewed it; a second person closes the review", "review"),
    "review.closed": ("reviewed it, which closes the review", "closed"),
    "permit.issued": ("issued the permit", "verified"),
    "attempt.refused": ("was refused", "denied"),
    "privacy.erased": ("erased what was typed", "erased"),
    "secret.created": ("named it", "info"),
    "secret.edited": ("changed where it may be used", "info"),
    "destination.created": ("let entries be sent here", "info"),
    "destination.edited": ("changed what is sent, or where", "info"),
    "destination.ended": ("ended it", "ended"),
    "destination.paused": ("gave it up", "given_up"),
    "destination.resumed": ("had it tried again", "running"),
    "destination.skipped": ("skipped", "skipped"),
    "freeze.created": ("made the freeze", "freeze"),
    "freeze.edited": ("changed the freeze", "freeze"),
    "freeze.excepted": ("let it start through a freeze", "exception"),
    "freeze.exception_ended": ("ended its way through a freeze", "freeze"),
    "freeze.lifted": ("lifted the freeze", "lifted"),
    "window.created": ("made the window", "window"),
    "window.edited": ("changed the window", "window"),
    "window.lifted": ("lifted the window", "lifted"),
    "run.paused": ("paused the run", "waiting"),
    "run.resumed": ("let the run go on", "running"),
    "run.cancel_requested": ("asked to stop the run", "cancelled"),
}
DECIDED = {
    "approve": ("approved", "approve"),
    "approve_with_condition": ("approved with a condition", "approve_with_condition"),
    "send_back": ("sent it back", "send_back"),
    "reject": ("rejected it", "reject"),
}
PLANNED = {
    "revised": "asked everybody about what the plan found",
    "same": "planned again and found the same; what was signed stands",
    "denied": "found that policy does not allow what would change, which ends it",
    "refused": "found what nobody can be asked about",
    "moot": "found something after the change had gone on without it",
}
SHOWN = [*VERBS, "sign_off.given"]


def of(change: Change) -> list[dict[str, Any]]:
    """Rows of templates/components/timeline.html."""
    subjects = [change.key, *(run.key for run in change.runs.all())]
    subjects += [revision.digest for revision in change.revisions.all()]
    found = Entry.objects.filter(subject__in=subjects, kind__in=SHOWN).select_related("leaf").order_by("id")
    rows = _told(list(found[:LIMIT]))
    rows += [_comment(one) for one in change.comments.select_related("author")]
    return sorted(rows, key=_when)


def of_row(stream: UUID) -> list[dict[str, Any]]:
    """The same of one governed row: every version of it."""
    entries = list(
        Entry.objects.filter(stream=stream).select_related("leaf").order_by("stream_version")[:LIMIT]
    )
    return _told(entries)


def _told(entries: list[Entry]) -> list[dict[str, Any]]:
    data = openings.datas(entries)
    passed = {one["to_account"] for one in data.values() if "to_account" in one}
    names = Names({entry.actor for entry in entries} | passed)
    return [_entry(entry, data[entry.pk], names) for entry in entries]


def _entry(entry: Entry, data: dict[str, Any], names: Names) -> dict[str, Any]:
    verb, state = VERBS.get(entry.kind) or DECIDED.get(data.get("decision", ""), (entry.kind, "info"))
    if entry.kind == "permit.issued" and data.get("purpose") == "plan":
        verb = "issued a permit that only lets it read"
    verb, said = (PLANNED[data["outcome"]], data["why"]) if entry.kind == "plan.settled" else (verb, "")
    if entry.kind.startswith("destination."):
        said = data.get("reason") or data.get("why", "")
    index = entry.leaf.index if hasattr(entry, "leaf") else None
    return {
        "actor": names.both(entry.actor, entry.occurred_at) or _machine(entry.actor),
        "verb": verb,
        "object": _object(entry.kind, data, names),
        "at": entry.occurred_at,
        "seq": index,
        "url": f"/audit/{index}/" if index is not None else "",
        "state": state,
        "said": data.get("detail", "") if entry.kind == "attempt.refused" else said,
    }


def _object(kind: str, data: dict[str, Any], names: Names) -> str:
    if kind == "evidence.attached":
        return str(data["evidence_kind"]).replace("_", " ")
    if kind == "sign_off.given":
        return f"as {data['stage_name']}"
    if kind == "destination.skipped":
        one = data["first"] == data["last"]
        return f"entry {data['first']}" if one else f"entries {data['first']} to {data['last']}"
    if kind == "stage.handed_over":
        return f"{names.now.get(data['to_account'], 'a colleague')} as {data['stage_name']}"
    if kind.startswith(("freeze.", "window.")):
        if "named" in data:  # an exception to a freeze
            return data["name"] if kind == "freeze.exception_ended" else f"{data['name']}: {data['reason']}"
        return "" if kind.endswith("lifted") else f"({data['words']})"
    return str(data["stage_name"]) if kind.startswith("stage.") else ""


def _comment(comment: Comment) -> dict[str, Any]:
    asked = comment.kind == Comment.Kind.QUESTION
    verb = "asked the requester" if asked else "answered" if comment.answers_id else "wrote"
    return {
        "actor": comment.author.name,
        "verb": verb,
        "at": comment.created_at,
        "state": "question" if asked else "comment",
        "said": comment.text,
    }


def _machine(actor: str) -> str:
    kind, _, name = actor.partition(":")
    return {"worker": "A worker", "change": name}.get(kind, "Countersign")


def _when(row: dict[str, Any]) -> datetime:
    at: datetime = row["at"]
    return at
