"""What an actor was called when they acted, and is called now. An entry holds an id; names can be erased."""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from audit.ledger.personal import ERASED
from audit.models import ActorName, FormerName

ACCOUNT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def called(part: str, *, handle: bool = False) -> set[str]:
    """The actors in whose name this occurs, or occurred before they were called something else; or of this handle."""
    fits = Q(name__icontains=part) | Q(handle__iexact=part) if handle else Q(name__icontains=part)
    now = ActorName.objects.filter(fits).values_list("actor", flat=True)
    before = FormerName.objects.filter(fits).values_list("actor", flat=True)
    return {*now, *before}


class Names:
    """The names of these actors, in two queries."""

    def __init__(self, actors: Iterable[str]) -> None:
        asked = set(actors)
        known = ActorName.objects.filter(actor__in=asked)
        self.now: dict[str, str] = dict(known.values_list("actor", "name"))
        self.former: dict[str, list[FormerName]] = defaultdict(list)
        for one in FormerName.objects.filter(actor__in=asked).order_by("until"):
            self.former[one.actor].append(one)

    def then(self, actor: str, at: datetime) -> str:
        """The name of that time; empty for a machine, and for a name that was erased."""
        before = next((one.name for one in self.former.get(actor, []) if at < one.until), None)
        return self.now.get(actor, "") if before is None else before

    def both(self, actor: str, at: datetime) -> str:
        """The name of that time, and the one of now where it is another; that it was erased; empty for a machine."""
        if actor not in self.now:
            return ERASED if ACCOUNT.fullmatch(actor) else ""
        then, now = self.then(actor, at), self.now[actor]
        return then if then == now else f"{then}, now {now}"
