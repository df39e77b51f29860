"""The candidates that a person may put beside the policy that judges: a version, a checked commit, the head of any
branch of the repository, files as typed.

Reads and compiles; must never store a candidate nor let it judge.
"""

from collections.abc import Mapping
from dataclasses import replace

from approvals.models import Bundle, PolicyCommit
from approvals.policy import bundles, commits, repository
from approvals.policy.engine import PolicyRefused
from audit.refusals import Invalid, NotFound

LISTED = 20


def chosen(digest: str, *, branch: str = "", file: str = "", text: str = "") -> bundles.Candidate:
    """A branch's head, a version or a commit by its digest, else what judges now; with one file as it was typed."""
    if branch.strip():
        sources, said = _head(branch.strip())
    else:
        sources, said = dict(_sources(digest) if digest else bundles.active().sources), ""
    if text.strip():
        name = file.strip() or "pasted.rego"
        sources[name] = text.replace("\r\n", "\n")
        said = f"{said}, {name[:60]} as it was typed" if said else ""
    return replace(written(sources), said=said)


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
    if commit is not None:
        return f"Commit {commit.commit[:10]} of {commit.branch}"
    return candidate.said[:200] or "As it was typed"


def files() -> list[str]:
    """The names that a typed file may replace."""
    active = Bundle.objects.filter(active=True).first()
    return sorted(active.sources) if active else []


def _head(branch: str) -> tuple[dict[str, str], str]:
    """What stands at the head of any branch of the repository now. It judges nobody: only the set branch is offered."""
    kept = commits.place()
    if kept is None:
        detail = "No repository is set, so no branch can be read."
        raise Invalid(
            f"Nothing was judged. {detail}", errors=[{"pointer": "/candidate/branch", "detail": detail}]
        )
    found = repository.read(replace(kept, branch=branch[:250]), since=None, after=None, depth=1)
    if found.faults:
        first = found.faults[0]
        raise PolicyRefused(f"Branch {branch[:60]}, {first.place}: {first.message}", faults=found.faults)
    return found.sources, f"Branch {branch[:60]} at {found.commit[:10]}"


def _sources(digest: str) -> Mapping[str, str]:
    found = (
        Bundle.objects.filter(digest=digest).first()
        or PolicyCommit.objects.filter(digest=digest, faults=[]).first()
    )
    if found is None:
        raise NotFound("There is no such version of the policy; nothing was simulated.")
    sources: Mapping[str, str] = found.sources
    return sources
