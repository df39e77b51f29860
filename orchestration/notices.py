"""What waits for a person besides deciding: reviews, questions, obligations, what expired. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts.models import User
from approvals import exempt, freezes, periods
from approvals.calendar.words import words
from approvals.clock import database_time
from approvals.models import Chain, Freeze, HandOver, Obligation, Window
from orchestration import access, upcoming
from orchestration.models import Change, Comment, Destination, Review
from orchestration.outgoing import batches, destinations

C = Change.State
WORDS = {
    "review": ("an emergency waits for your review, {who}", "#review"),
    "question": ("{who} asked you", "#questions"),
    "answer": ("{who} answered you", "#questions"),
    "hand_over": ("{who} handed it over to you", "#decision"),
    "obligation": ("an obligation is open", "#obligations"),
    "frozen": ("a freeze holds it up {who}", ""),
    "shut": ("no window is open for it {who}", ""),
    "given_up": ("it was given up, {who} entries behind", ""),
    "expired": ("it expired before it could start; request it again if it is still needed", ""),
}
BEFORE_START = (C.WAITING, C.SENT_BACK, C.APPROVED, C.SCHEDULED)
TOLD = timedelta(days=3)  # how long an expiry is news
LIMIT = 50  # of each kind; more than that is a search


@dataclass(frozen=True)
class Notice:
    """One thing, on one change or, for an admin, on a destination."""

    kind: str
    about: Change | Destination
    text: str
    who: str  # by name, or a moment; empty for the policy
    at: datetime

    @property
    def words(self) -> str:
        """What it is, in few words."""
        return WORDS[self.kind][0].format(who=self.who)

    @property
    def change(self) -> Change | None:
        return self.about if isinstance(self.about, Change) else None

    @property
    def key(self) -> str:
        """What people call what it is about."""
        return self.about.key if isinstance(self.about, Change) else self.about.name

    @property
    def title(self) -> str:
        return self.about.title if isinstance(self.about, Change) else self.about.get_kind_display()

    @property
    def url(self) -> str:
        """The page, and where on it the thing stands."""
        where = f"/changes/{self.key}" if self.change else f"/admin/destinations/{self.about.pk}"
        return f"{where}/{WORDS[self.kind][1]}"


def of(user: User) -> list[Notice]:
    """All of them, the oldest first."""
    kinds = (_reviews, _questions, _answers, _hand_overs, _obligations, _expired, _held_up, _given_up)
    return sorted((one for kind in kinds for one in kind(user)), key=lambda one: one.at)


def _reviews(user: User) -> list[Notice]:
    """Emergencies in which this person took no part and has not been heard."""
    asked = Review.objects.open().without(user).filter(change__in=access.visible_changes(user))
    rows = asked.select_related("change__revision").order_by("due_at")[:LIMIT]
    return [
        Notice(
            "review",
            one.change,
            _reason(one.change),
            f"due {one.due_at:%d %b %H:%M} UTC",
            one.opened_at,
        )
        for one in rows
        if access.may_review(user, one.change)
    ]


def _reason(change: Change) -> str:
    return change.revision.reason if change.revision else ""


def _obligations(user: User) -> list[Notice]:
    """Those of one's own changes, and those that one set oneself."""
    owed = Obligation.objects.owed().filter(Q(chain__in=_chains(user)) | Q(sign_off__person=user.person_id))
    rows = list(owed.select_related("sign_off__user")[:LIMIT])
    about = _changes(user, {row.chain_id for row in rows})
    return [
        Notice("obligation", about[row.chain_id], row.text, row.set_by, row.opened_at)
        for row in rows
        if row.chain_id in about
    ]


def _questions(user: User) -> list[Notice]:
    """What this person was asked and has not answered, about changes that have not started."""
    asked = Comment.objects.filter(
        kind=Comment.Kind.QUESTION, answered_by=None, change__requester__person=user.person_id,
        change__state__in=BEFORE_START,
    )  # fmt: skip
    rows = asked.select_related("change", "author").order_by("created_at")[:LIMIT]
    return [Notice("question", one.change, one.text, one.author.name, one.created_at) for one in rows]


def _answers(user: User) -> list[Notice]:
    """Answers to what this person asked, while they can still decide with them."""
    mine = Q(answers__author__person=user.person_id, change__state=C.WAITING)
    rows = Comment.objects.filter(mine).select_related("change__revision", "author").order_by("-created_at")
    found = list(rows[:LIMIT])
    waiting = _still_asking(user, {one.change.revision.chain_id for one in found if one.change.revision})
    return [
        Notice("answer", one.change, one.text, one.author.name, one.created_at)
        for one in found
        if one.change in waiting.values()
    ]


def _hand_overs(user: User) -> list[Notice]:
    """What colleagues passed on to this person, who still can decide it."""
    passed = HandOver.objects.filter(taker__person=user.person_id, stage__chain__state=Chain.State.OPEN)
    found = list(passed.select_related("giver", "stage").order_by("-at")[:LIMIT])
    waiting = _still_asking(user, {one.stage.chain_id for one in found})
    return [
        Notice("hand_over", waiting[one.stage.chain_id], one.note, one.giver.name, one.at)
        for one in found
        if one.stage.chain_id in waiting
    ]


def _still_asking(user: User, chains: Collection[UUID]) -> dict[UUID, Change]:
    """Of these chains those that wait for this person now; no question when there are none."""
    found = access.waiting_for(user).filter(revision__chain__in=chains) if chains else []
    return {one.revision.chain_id: one for one in found if one.revision is not None}


def _expired(user: User) -> list[Notice]:
    lately = Change.objects.filter(requester=user, state=C.EXPIRED, updated_at__gt=Now() - TOLD)
    return [
        Notice("expired", one, one.title, "", one.updated_at) for one in lately.order_by("number")[:LIMIT]
    ]


def _given_up(user: User) -> list[Notice]:
    """Destinations that take nothing, for whoever may have them tried again."""
    if not destinations.may_act(user):
        return []
    return [
        Notice("given_up", one, one.last_error, str(one.behind(batches.sealed())), one.paused_at)
        for one in Destination.objects.paused()[:LIMIT]
        if one.paused_at is not None
    ]


def _held_up(user: User) -> list[Notice]:
    """One's own changes that are to start while a freeze holds, or while no window of theirs is open."""
    rows = list(upcoming.coming().filter(requester=user)[:LIMIT])
    if not rows:
        return []
    at = database_time()
    known: dict[str, Any] = {
        "frozen": list(freezes.current()),
        "excepted": list(exempt.standing()),
        "windows": list(periods.standing(Window)),
        "at": at,
    }
    stops = [(one, upcoming.stop(one, **known)) for one in rows]
    return [_stopped(one, stop, at=at) for one, stop in stops if stop is not None]


def _stopped(change: Change, stop: upcoming.Stop, *, at: datetime) -> Notice:
    kind = "frozen" if isinstance(stop.by, Freeze) else "shut"
    text = f"{stop.by.name}: {words(stop.by.schedule)}"
    when = "now" if stop.at <= at else f"when it is to start, {stop.at:%-d %b %H:%M} UTC"
    return Notice(kind, change, text, when, stop.at)


def _chains(user: User) -> QuerySet[Change, UUID]:
    """The chains of what this person asked for."""
    return Change.objects.filter(requester=user).values_list("revision__chain", flat=True)


def _changes(user: User, chains: Collection[UUID]) -> dict[UUID, Change]:
    """The changes of these chains that this person may see."""
    found = access.visible_changes(user).filter(revision__chain__in=chains).select_related("revision")
    return {change.revision.chain_id: change for change in found if change.revision is not None}
