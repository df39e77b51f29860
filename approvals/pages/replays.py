"""Replays and the shadow as people see them: ask for one, watch it, open what would be otherwise.

Parses, calls one function, answers. Whose changes may be seen is the floor above's answer.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST

from accounts.acting import acting
from approvals import replays, shadows
from approvals.models import Bundle, Decision, Difference, Replay
from approvals.pages.simulate import asked, sides
from approvals.pages.why import Known
from approvals.policy import bundles, candidates, commits, replay
from approvals.policy.decisions import try_out
from approvals.policy.engine import PolicyRefused, PolicyUnavailable
from audit.refusals import NotFound, Refusal

WORDS = {
    replay.Kind.NEWLY_BLOCKED: ("denied", "Newly blocked"),
    replay.Kind.NEWLY_NEEDS_APPROVAL: ("warning", "Newly needs approval"),
    replay.Kind.NEWLY_ALLOWED: ("warning", "Newly allowed"),
    replay.Kind.CHANGED: ("warning", "Fewer, or in another order"),
    replay.Kind.SAME: ("succeeded", "The same"),
}
FIELDS = ("candidate", "branch", "file", "text", "days")
PAGE = 25
LISTED = 50
BAR, HALF, MIDDLE = (
    24,
    70,
    230,
)  # a team's row, the longest bar and where bars begin, in the picture's own units


def urls(seen: replays.Seen, known: Known) -> list[URLPattern]:
    """`seen(user)` names the changes (CHG-12) that an account may see."""
    page = _Pages(seen, known)
    return [
        path("policies/replays/", _door(page.index, "GET", "POST"), name="replays"),
        path("policies/replays/<uuid:key>/", _door(page.detail, "GET"), name="replay"),
        path("policies/replays/<uuid:key>/cancel/", _door(page.cancel, "POST"), name="replay_cancel"),
        path("policies/replays/<uuid:key>/<int:row>/", _door(page.row, "GET"), name="replay_row"),
        path(
            "policies/replays/<uuid:key>/same/<uuid:decision>/", _door(page.same, "GET"), name="replay_same"
        ),
        path("policies/shadow/end/", end_shadow, name="shadow_end"),
    ]


def _door(view: Callable[..., HttpResponse], *methods: str) -> Any:
    return require_http_methods(list(methods))(login_required(view))


@dataclass(frozen=True)
class _Pages:
    seen: replays.Seen
    known: Known

    def index(self, request: HttpRequest) -> HttpResponse:
        """The list and the form; POST starts one, or sets a shadow."""
        given = {name: request.POST.get(name, request.GET.get(name, "")) for name in FIELDS}
        errors, status = [], 200
        if request.method == "POST":
            try:
                return redirect("replay", key=self._start(request, given).pk)
            except Refusal as refusal:
                errors, status = refusal.errors or [{"pointer": "", "detail": str(refusal)}], refusal.status
        mine = replays.visible(request.user).filter(shadow=None).select_related("user")[:LISTED]
        context = {
            "given": given, "errors": errors, "candidates": candidates.listed(), "files": candidates.files(),
            "days": replays.DAYS, "replays": mine, "shadow": _shadow(request), "branches": commits.place() is not None,
            "may_shadow": acting(request).user.is_superuser,
        }  # fmt: skip
        return render(request, "approvals/replays.html", context, status=status)

    def detail(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """How far it is and what it found; each number opens its rows."""
        found = replays.get(key, user=request.user)
        kind = request.GET.get("kind", "")
        differing = replays.rows(found, user=request.user, seen=self.seen)
        rows: Any = differing.filter(kind=kind) if kind else differing
        if kind == replay.Kind.SAME:
            rows = replays.alike(found, user=request.user, seen=self.seen)
        listed = Paginator(rows, PAGE).get_page(request.GET.get("page"))
        risky = replays.risky(differing)
        context = {
            "replay": found, "kind": kind, "rows": [_row(found, one) for one in listed], "listed": listed,
            "heading": WORDS[replay.Kind(kind)][1] if kind in WORDS else "Otherwise", "risky": risky,
            "risky_text": f"{risky} of the newly allowed. Open them before you ask for this policy.",
            "numbers": _numbers(found, kind), "load": _load(found), "markdown": _markdown(found, differing, risky),
            "may_cancel": found.until is not None and found.user_id == acting(request).user.pk,
        }  # fmt: skip
        part = "approvals/replay_live.html" if request.headers.get("HX-Request") else "approvals/replay.html"
        return render(request, part, context)

    def cancel(self, request: HttpRequest, key: UUID) -> HttpResponse:
        replays.cancel(key, by=acting(request))
        return redirect("replay", key=key)

    def row(self, request: HttpRequest, key: UUID, row: int) -> HttpResponse:
        """What was said then beside what the candidate says."""
        found = replays.get(key, user=request.user)
        one = replays.rows(found, user=request.user, seen=self.seen).filter(pk=row).first()
        if one is None:
            raise NotFound("There is no such row, or it is about a change that you may not see.")
        candidate = bundles.examine(found.sources)
        return self._beside(request, found, candidate, one.decision, one.after, one.reason)

    def same(self, request: HttpRequest, key: UUID, decision: UUID) -> HttpResponse:
        """The same for a decision that was answered alike: the candidate is asked again, for nothing of it is kept."""
        found = replays.get(key, user=request.user)
        one = replays.alike(found, user=request.user, seen=self.seen).filter(pk=decision).first()
        if one is None:
            raise NotFound("There is no such row, or it is about a change that you may not see.")
        candidate, after, reason = bundles.examine(found.sources), None, ""
        try:
            after = try_out(candidate, one.input)
        except (PolicyRefused, PolicyUnavailable) as refused:
            reason = str(refused)
        return self._beside(request, found, candidate, one, after, reason)

    def _beside(
        self, request: HttpRequest, found: Replay, candidate: bundles.Candidate, one: Decision, after: Any,
        reason: str,
    ) -> HttpResponse:  # fmt: skip
        other = Bundle(
            digest=found.digest, sources=found.sources, rules=[vars(rule) for rule in candidate.rules]
        )
        told = sides(
            other, one.input, judged_by=one.bundle, before=one.output, after=after, reason=reason,
            records=self.known(one.input),
        )  # fmt: skip
        subject = one.input["change"]["id"]
        context = {"replay": found, "subject": subject, "decided_at": one.decided_at, **told}
        return render(request, "approvals/replay_row.html", context)

    def _start(self, request: HttpRequest, given: dict[str, str]) -> Replay:
        candidate = asked(given)
        if "shadow" in request.POST:
            return shadows.set_one(candidate, by=acting(request)).replay
        days = next((one for one in replays.DAYS if given["days"] == str(one)), 0)
        return replays.start(candidate, days=days, seen=self.seen, by=acting(request))


@require_POST
@login_required
def end_shadow(request: HttpRequest) -> HttpResponse:
    shadows.end(by=acting(request))
    return redirect("replays")


def _shadow(request: HttpRequest) -> Any:
    """The standing shadow's replay, for those who may see every decision."""
    found = shadows.standing()
    may = found is not None and replays.visible(request.user).filter(pk=found.replay_id).exists()
    return found if may else None


def _row(found: Replay, one: Difference | Decision) -> dict[str, Any]:
    if isinstance(one, Decision):
        subject, said, decision = one.input["change"]["id"], replay.named(one.output), one
        kind, url = replay.Kind.SAME, f"/policies/replays/{found.pk}/same/{one.pk}/"
    else:
        subject, said, decision = one.subject, one.words, one.decision
        kind, url = replay.Kind(one.kind), f"/policies/replays/{found.pk}/{one.pk}/"
    state, words = WORDS[kind]
    return {
        "subject": subject, "said": said, "at": decision.decided_at, "url": url, "state": state, "words": words,
    }  # fmt: skip


def _numbers(found: Replay, kind: str) -> list[dict[str, Any]]:
    return [
        {
            "label": words,
            "value": found.kinds.get(one, 0),
            "state": state if found.kinds.get(one, 0) else "",
            "url": f"/policies/replays/{found.pk}/?kind={one}" if found.kinds.get(one) else "",
            "note": "shown below" if one == kind else "",
        }
        for one, (state, words) in WORDS.items()
    ]


def _load(found: Replay) -> dict[str, Any] | None:
    """Sign-offs that each team would be asked for, more or less: a picture, and the same as a table."""
    rows = sorted(found.load.items(), key=lambda one: -abs(one[1]))
    if not rows:
        return None
    team, more = rows[0]
    sign = "more" if more > 0 else "fewer"
    return {
        "finding": f"{team} would be asked for {abs(more)} {sign} sign-off{'' if abs(more) == 1 else 's'}.",
        "svg": _bars(rows[:12]),
        "rows": [[name, f"{number:+}"] for name, number in rows],
        "columns": ["Team", "Sign-offs, more or less"],
    }


def _bars(rows: list[tuple[str, int]]) -> SafeString:
    """One bar a team, to the right for more and to the left for fewer."""
    longest = max(abs(more) for _, more in rows)
    bars = format_html_join(
        "",
        '<text class="axis" x="4" y="{}">{}</text><path class="bar" d="M{} {}h{}v10h{}z"/>'
        '<text class="axis" x="{}" y="{}">{}</text>',
        (
            (
                at * BAR + 16, name[:24], MIDDLE, at * BAR + 7, (width := HALF * more // longest), -width,
                MIDDLE + max(width, 0) + 6, at * BAR + 16, f"{more:+}",
            )
            for at, (name, more) in enumerate(rows)
        ),
    )  # fmt: skip
    height = len(rows) * BAR
    return format_html(
        '<svg viewBox="0 0 340 {}"><path class="grid" d="M{} 0V{}"/>{}</svg>', height, MIDDLE, height, bars
    )


def _markdown(found: Replay, rows: Any, risky: int) -> str:
    """For a pull request."""
    if found.under_way:
        return ""
    span = f"the last {found.days} days" if found.until else f"{found.since:%Y-%m-%d} and after"
    tally = replay.Tally(Counter(found.kinds), Counter(found.load))
    told = ((one.subject, one.kind, one.words) for one in rows[: replay.LISTED])
    return replay.markdown(tally, told, span=span, risky=risky, name=found.name)
