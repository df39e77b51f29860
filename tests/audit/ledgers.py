"""Small ledgers with known answers: entries as the product writes them, sealed and judged in memory; and mutations."""

from collections import Counter

from audit.canonical import canonical
from audit.controls import evaluate, facts
from audit.controls.catalogue import controls
from audit.controls.evaluate import Scope
from audit.controls.log import Seal
from audit.ledger.merkle import Range, leaf_hash
from audit.models import Checkpoint

DIGEST, CHAIN_DIGEST, BUNDLE, IMAGE = ("sha256:" + letter * 64 for letter in "acbe")
CHECKPOINT = Checkpoint(size=0, root=bytes(32))
BEFORE, SETUP = "2026-01-01T00:00:00.000000Z", "system:setup"
PASSED = {
    "CT-01": "approved", "CT-02": "approved_before", "CT-03": "independent", "CT-04": "other_hands",
    "CT-05": "entitled", "CT-06": "in_force", "CT-07": "same_content", "CT-08": "no_emergency", "CT-09": "few",
    "CT-10": "evidenced", "CT-11": "observed", "CT-12": "as_signed", "CT-13": "complete", "CT-14": "log_current",
    "CT-15": "review_not_due", "CT-17": "founding", "CT-18": "promoted", "CT-19": "verified", "CT-20": "not_archived",
}  # fmt: skip
OF_EXECUTIONS = {key for key in PASSED if controls()[key].kind == "execution"}


def history(change="CHG-1", environment="production"):
    """One change that is asked for, agreed to by two stages, and run: entries as the product writes them."""
    number = change.partition("-")[2]
    chain, permit = f"chain-{number}", f"permit-{number}"
    approval = {"chain": chain, "chain_digest": CHAIN_DIGEST, "digest": DIGEST, "decision": "approve"}
    return [
        ("policy.decided", change, f"s-decided-{number}", {
            "decision": f"d-{number}", "bundle": BUNDLE, "input_digest": "sha256:i", "output_digest": "sha256:o",
            "denied": False}),
        ("chain.opened", DIGEST, f"s-chain-{number}", {
            "chain": chain, "digest": CHAIN_DIGEST, "conflicted": ["mara"],
            "decision": f"d-{number}", "bundle": BUNDLE,
            "stages": [{"stage": "owner", "name": "Service owner", "order": 1, "quorum": 1, "teams": ["pay"],
                        "user_ids": [], "signature": "session"},
                       {"stage": "security", "name": "Security", "order": 1, "quorum": 2, "teams": ["sec"],
                        "user_ids": [], "signature": "session"}]}),
        ("change.waiting", change, f"s-change-{number}", {"change": change, "was": "draft", "digest": DIGEST}),
        ("change.requested", change, f"s-request-{number}", {
            "change": change, "revision": 1, "digest": DIGEST, "workflow": "deploy", "workflow_digest": "sha256:w",
            "service": "payments-api", "environment": environment, "environment_tier": 1,
            "requester_person": "mara", "conflicted": ["mara"], "policy_decision": f"d-{number}", "chain": chain,
            "chain_digest": CHAIN_DIGEST, "artifacts": [IMAGE]}),
        *(("evidence.attached", change, f"s-{kind}-{number}", {
            "change": change, "revision": 1, "digest": DIGEST, "evidence_kind": kind,
            "evidence_digest": f"sha256:{kind}"})
          for kind in ("impact", "rollback_plan", "security_check", "test_result")),
        ("sign_off.given", DIGEST, f"s-jonas-{number}", {
            **approval, "stage": "owner", "stage_name": "Service owner", "person": "jonas"}),
        ("sign_off.given", DIGEST, f"s-noor-{number}", {
            **approval, "stage": "security", "stage_name": "Security", "person": "noor"}),
        ("sign_off.given", DIGEST, f"s-ines-{number}", {
            **approval, "decision": "approve_with_condition", "stage": "security", "stage_name": "Security",
            "person": "ines"}),
        ("change.approved", change, f"s-change-{number}", {"change": change, "was": "waiting", "digest": DIGEST}),
        ("permit.issued", change, f"s-permit-{number}", {
            "permit": permit, "run": f"run-{number}", "digest": DIGEST, "chain": chain,
            "sign_offs": [f"s-jonas-{number}", f"s-noor-{number}"], "document_digest": "x", "checkpoint_size": None}),
        ("run.running", f"RUN-{number}", f"s-run-{number}", {
            "run": f"RUN-{number}", "change": change, "digest": DIGEST, "permit": permit, "environment": environment}),
        ("change.running", change, f"s-change-{number}", {"change": change, "was": "approved", "digest": DIGEST}),
        ("step.succeeded", f"RUN-{number}", f"s-step-{number}", {
            "run": f"RUN-{number}", "step": "look", "attempt": 1, "was": "running", "phase": "verify"}),
        ("run.succeeded", f"RUN-{number}", f"s-run-{number}", {
            "run": f"RUN-{number}", "change": change, "digest": DIGEST, "permit": permit, "environment": environment,
            "was": "running"}),
        ("deployment.observed", "service:payments-api", f"s-seen-{number}", {
            "service": "payments-api", "environment": environment, "artifacts": [IMAGE]}),
        ("gate.probed", "gate", f"s-probe-{number}", {"stopped": True, "seconds": 120}),
    ]  # fmt: skip


def cast():
    """Policy, the people and their teams, set up months before."""
    yield ("bundle.activated", BUNDLE, "s-bundle", {"bundle": BUNDLE, "serial": 1}, BEFORE, SETUP)
    for name in ("mara", "jonas", "noor", "ines"):
        yield ("account.created", f"account:{name}", name, {"person": name}, BEFORE, SETUP)
    for team, *members in (("pay", "jonas"), ("sec", "noor", "ines", "mara")):
        yield ("team.created", f"team:{team}", f"t-{team}", {"name": team}, BEFORE, SETUP)
        for name in members:
            told = {"account": name, "lead": False}
            yield ("membership.started", f"team:{team}", f"s-{team}-{name}", told, BEFORE, SETUP)
    for position, slug in enumerate(("staging", "production")):
        told = {"slug": slug, "tier": 2 - position, "position": position * 10}
        yield ("environment.created", f"environment:{slug}", f"s-{slug}", told, BEFORE, SETUP)
    yield from tried()


def tried():
    """The same image was put into the environment before."""
    asked = {"change": "CHG-0", "service": "payments-api", "environment": "staging", "digest": "sha256:0",
             "artifacts": [IMAGE]}  # fmt: skip
    ended = {"run": "RUN-0", "change": "CHG-0", "environment": "staging"}
    yield ("change.requested", "CHG-0", "s-request-0", asked, BEFORE)
    yield ("run.succeeded", "RUN-0", "s-run-0", ended, BEFORE)


def sealed(entries):
    """Their bytes, a second apart, what was told months before first.

    An entry may have its own time as a fifth part, its actor as a sixth. A permit saw the whole log before it.
    """
    early = [one for one in entries if one[4:5] == (BEFORE,)]
    log = [*cast(), *early, *(one for one in entries if one not in early)]
    versions: Counter[str] = Counter()
    for index, (kind, subject, stream, data, *more) in enumerate(log):
        number = index - (len(log) - len(entries) + len(early))
        time, actor = (*more, "", "")[:2]
        versions[stream] += 1
        said = {**data, "checkpoint_size": index} if data.get("checkpoint_size", 0) is None else data
        by = {"auth": "session", "id": actor or data.get("person", "someone"), "kind": "person"}
        yield canonical({
            "v": 1, "id": f"e-{index}", "type": kind, "subject": subject, "stream": stream, "data": said, "actor": by,
            "time": time or f"2026-03-01T08:{number // 60:02d}:{number % 60:02d}.000000Z", "prev": None,
            "state": None, "stream_version": versions[stream],
        })  # fmt: skip


def signed(bodies):
    """What a checkpoint over exactly these says."""
    tree = Range()
    tree.extend(map(leaf_hash, bodies))
    return Seal(tree.size, tree.root(), True)


def judged(entries, scope=Scope()):  # noqa: B008 - frozen
    return judged_bytes(list(sealed(entries)), scope=scope)


def judged_bytes(bodies, seals=None, scope=Scope()):  # noqa: B008 - frozen
    seals = [signed(bodies)] if seals is None else seals
    return evaluate.report(facts.fold(enumerate(bodies), seals, len(bodies)), CHECKPOINT, scope)


def results(entries):
    return {one.control.id: [row["result"] for row in one.rows] for one in judged(entries).tested}


def reasons(entries):
    """Of the first item of each control test that has one."""
    return {one.control.id: one.rows[0]["reason"] for one in judged(entries).tested if one.rows}


def place(entries, kind, **data):
    return next(
        index
        for index, entry in enumerate(entries)
        if entry[0] == kind and all(entry[3].get(key) == value for key, value in data.items())
    )


def without(kind, **data):
    return lambda entries: entries.pop(place(entries, kind, **data))


def changed(kind, where, **data):
    return lambda entries: entries[place(entries, kind, **where)][3].update(data)


def moved_to_end(kind, **data):
    return lambda entries: entries.append(entries.pop(place(entries, kind, **data)))


def told_later(entries):
    """The clock of an approval stands after the start, its place in the log before it."""
    at = place(entries, "sign_off.given", person="jonas")
    entries[at] = (*entries[at], "2026-03-02T00:00:00.000000Z")


def withdrawn(before):
    def mutate(entries):
        at = place(entries, "permit.issued") if before else len(entries)
        entries.insert(at, ("sign_off.withdrawn", DIGEST, "s-noor-1", {"chain": "chain-1", "person": "noor"}))

    return mutate


def granted(**changed):
    told = {"exception": "E-1", "rule": "CT-02", "scope": "service", "scope_name": "payments-api",
            "ends_at": "2026-03-02", **changed}  # fmt: skip
    return ("exception.granted", told["rule"], "s-exception", told)
