"""Saved views: searches of the log under a name, of one reader or shared with all. They govern nothing."""

from uuid import UUID

from django.db.models import Q, QuerySet

from audit import search
from audit.models import SavedView
from audit.refusals import Invalid, NotFound

MOST = 50  # of one reader
NAME_LENGTH = 60


def of(owner: str) -> QuerySet[SavedView]:
    """The reader's own and the shared ones, by name."""
    return SavedView.objects.filter(Q(owner=owner) | Q(shared=True)).order_by("name", "id")


def save(*, owner: str, name: str, query: str, shared: bool) -> SavedView:
    """Keep a search under a name; the same name again takes the new search."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH or "\0" in name:
        raise Invalid(
            f"The view was not saved: it needs a name of at most {NAME_LENGTH} characters.",
            errors=[{"pointer": "/name", "detail": f"1 to {NAME_LENGTH} characters"}],
        )
    try:
        query = search.spell(search.parse(query))
    except Invalid as fault:
        raise Invalid(str(fault), errors=[{"pointer": "/query", "detail": str(fault)}]) from fault
    mine = SavedView.objects.filter(owner=owner)
    if not mine.filter(name=name).exists() and mine.count() >= MOST:
        raise Invalid(f"The view was not saved: you have {MOST} already. Remove one first.")
    view, _ = SavedView.objects.update_or_create(
        owner=owner, name=name, defaults={"query": query, "shared": shared}
    )
    return view


def forget(key: str, *, owner: str) -> None:
    """Remove a view of one's own; NotFound for any other."""
    try:
        removed, _ = SavedView.objects.filter(pk=UUID(key), owner=owner).delete()
    except ValueError:
        removed = 0
    if not removed:
        raise NotFound("No view was removed: you have none of this id. Who shared a view can remove it.")
