"""The candidates that a person may put beside the policy that judges: a version, a checked commit, files as typed.

Reads and compiles; must never store a candidate nor let it judge.
"""

from collections.abc import Mapping

from approvals.models import Bundle, PolicyCommit
from approvals.policy import bundles
from audit.refusals import Invalid, NotFound

LISTED = 20


def chosen(digest: str, *, file: str = "", text: str = "") -> bundles.Candidate:
    """A version or a commit by its digest, else what judges now; with one file as it was typed."""
    sources = dict(_sources(digest) if digest else bundles.active().sources)
    if text.strip():
        sources[file.strip() or "pasted.rego"] = text.replace("\r\n", "\n")
    return written(sources)


def written(sources: Mapping[str, str]) -> bundles.Candidate:
    """Files at hand, no more of them than a bundle may have."""
    size = sum(len(text.encode(errors="surrogatepass")) for text in sources.values())
    if not sources or len(sources) > bundles.MAX_FILES or size > bundles.MAX_BYTES:
        detail = f"A bundle has 1 to {bundles.MAX_FILES} files and at most {bundles.MAX_BYTES} bytes."
        raise Invalid(
            f"Nothing was judged. {detail}", errors=[{"pointer": "/candidate/sources", "detail": detail}]
        )
    return bundles.examine(sources)


def listed() -> list[dict[str, str]]:
    """Every version that judged, and the newest commits that could."""
    judged = [
        {"value": one.digest, "words": f"Version {one.serial}{', which judges now' if one.active else ''}"}
        for one in Bundle.objects.order_by("-serial")[:LISTED]
    ]
    known = {one["value"] for one in judged}
    waiting = PolicyCommit.objects.filter(faults=[]).order_by("-id")[:LISTED]
    return judged + [
        {"value": one.digest, "words": f"Commit {one.commit[:10]} of {one.branch}"}
        for one in waiting
        if one.digest not in known
    ]


def name(candidate: bundles.Candidate) -> str:
    """What people call it."""
    bundle = Bundle.objects.filter(digest=candidate.digest).order_by("-serial").first()
    if bundle is not None:
        return f"Version {bundle.serial}"
    commit = PolicyCommit.objects.filter(digest=candidate.digest).first()
    return f"Commit {commit.commit[:10]} of {commit.branch}" if commit else "As it was typed"


def files() -> list[str]:
    """The names that a typed file may replace."""
    active = Bundle.objects.filter(active=True).first()
    return sorted(active.sources) if active else []


def _sources(digest: str) -> Mapping[str, str]:
    found = (
        Bundle.objects.filter(digest=digest).first()
        or PolicyCommit.objects.filter(digest=digest, faults=[]).first()
    )
    if found is None:
        raise NotFound("There is no such version of the policy; nothing was simulated.")
    sources: Mapping[str, str] = found.sources
    return sources
