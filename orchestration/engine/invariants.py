"""Sentences that must never become true, counted: each must be 0. Only looks; whoever asks decides what to do.

What they look at is what is under way, so that counting costs the same in a year. The numbers are those of
docs/explanation/gate.md, which says of the others where they are held.
"""

# ruff: noqa: S608 - texts of this module, put together

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet, TextChoices

from orchestration.engine import enrolled
from orchestration.models import Change, Run, Step

S, R, C = Step.State, Run.State, Change.State
OVER = (C.SUCCEEDED, C.FAILED, C.CANCELLED, C.EXPIRED)

_AGREED = """
      FROM orchestration_run AS run
      JOIN orchestration_revision AS revision ON revision.id = run.revision_id
      JOIN approvals_chain AS chain ON chain.id = revision.chain_id
"""
_SIGNED = """
    approvals_signoff AS said WHERE said.chain_id = chain.id AND said.withdrawn_at IS NULL
       AND said.subject = run.digest AND said.chain_digest = chain.digest
       AND said.decision IN ('approve', 'approve_with_condition')
"""
_LIVE = "step.run_id IN (SELECT id FROM orchestration_run WHERE state IN ('running', 'unknown'))"
_UNTOLD = """
    SELECT count(*) FROM orchestration_{row} AS it WHERE it.state = 'running' AND '{row}.running' IS DISTINCT FROM
           (SELECT entry.kind FROM audit_entry AS entry WHERE entry.stream = it.id AND entry.kind = ANY (%s)
             ORDER BY entry.stream_version DESC LIMIT 1)
"""

_WRONG = {
    "I1_fewer_agreed_than_asked": f"""
        SELECT count(*) {_AGREED} JOIN approvals_stage AS stage ON stage.chain_id = chain.id
         WHERE run.state = 'running' AND stage.quorum >
               (SELECT count(DISTINCT said.person_id) FROM {_SIGNED} AND said.stage_id = stage.id)""",
    "I3_run_of_an_older_revision": """
        SELECT count(*) FROM orchestration_run AS run JOIN orchestration_change AS change ON change.id = run.change_id
         WHERE run.state = 'running' AND run.plan_id IS NULL AND run.revision_id IS DISTINCT FROM change.revision_id""",
    "I4_started_after_a_stop": """
        SELECT count(*) FROM orchestration_step AS step
         WHERE step.state = 'running' AND EXISTS (
               SELECT 1 FROM audit_entry AS asked, audit_entry AS begun
                WHERE asked.stream = step.run_id AND asked.kind = 'run.cancel_requested'
                  AND begun.stream = step.id AND begun.kind = 'step.running'
                  AND begun.occurred_at > asked.occurred_at)""",
    "I5_chain_unlike_its_decision": f"""
        SELECT count(*) {_AGREED} JOIN approvals_decision AS decision ON decision.id = chain.decision_id
         WHERE run.state = 'running' AND jsonb_array_length(decision.output -> 'require') IS DISTINCT FROM
               (SELECT count(*)::int FROM approvals_stage AS stage WHERE stage.chain_id = chain.id)""",
    "I6_counted_in_conflict": f"""
        SELECT count(*) {_AGREED}
         WHERE run.state = 'running' AND EXISTS (
               SELECT 1 FROM {_SIGNED} AND said.person_id = ANY (chain.conflicted))""",
    "I9_attempts_with_a_gap": f"""
        SELECT count(*) FROM orchestration_step AS step
         WHERE {_LIVE} AND step.attempt <> (
               SELECT count(*) FROM orchestration_stepattempt AS try
                WHERE try.step_id = step.id AND try.number BETWEEN 1 AND step.attempt)""",
    "I10_running_without_its_start": """
        SELECT count(*) FROM orchestration_step AS step
         WHERE step.state = 'running' AND NOT EXISTS (
               SELECT 1 FROM orchestration_stepattempt AS try
                WHERE try.step_id = step.id AND try.number = step.attempt
                  AND try.worker_boot_id = step.lease_owner AND try.ended_at IS NULL)""",
    "I11_repeated_without_a_person": f"""
        SELECT count(*) FROM orchestration_step AS step
          JOIN orchestration_stepattempt AS try ON try.step_id = step.id AND try.number < step.attempt
         WHERE {_LIVE} AND step.effect = 'at_most_once' AND try.answer <> 'retry' AND try.outcome <> 'unstarted'
           AND NOT (try.outcome = 'failed'
                    AND coalesce(step.spec -> 'retry_exit_codes' @> to_jsonb(try.exit_code), false))""",
    "I12_running_before_its_needs": """
        SELECT count(*) FROM orchestration_step AS step
          JOIN orchestration_step AS before ON before.run_id = step.run_id AND step.needs ? before.key
         WHERE step.state = 'running' AND before.state NOT IN ('succeeded', 'omitted')
           AND NOT (before.state IN ('failed', 'timed_out') AND before.spec @> '{"continue_on_error": true}')""",
    "I13_lease_that_nobody_reaps": """
        SELECT count(*) FROM orchestration_step AS step
         WHERE step.state = 'running' AND step.lease_until < clock_timestamp() - interval '2 minutes'""",
}
# What runs is what the ledger says that it runs: the newest entry that tells a state has to tell this one.
_TOLD: dict[str, tuple[str, type[TextChoices]]] = {
    "I20_change_unlike_the_ledger": ("change", C),
    "I20_run_unlike_the_ledger": ("run", R),
    "I20_step_unlike_the_ledger": ("step", S),
}


def violations() -> dict[str, int]:
    """How often each is true now."""
    found = _of_rows()
    with connection.cursor() as cursor:
        for name, text in _WRONG.items():
            cursor.execute(text)
            found[name] = cursor.fetchone()[0]
        for name, (noun, states) in _TOLD.items():
            cursor.execute(_UNTOLD.format(row=noun), [[f"{noun}.{state}" for state in states]])
            found[name] = cursor.fetchone()[0]
    return dict(sorted(found.items(), key=lambda one: int(one[0][1:].partition("_")[0])))


def _of_rows() -> dict[str, int]:
    unproven = Step.objects.filter(state=S.RUNNING).exclude(run__permit__isnull=False)
    pairless = Run.objects.applying().filter(state=R.RUNNING).exclude(change__state=C.RUNNING)
    misused = Run.objects.filter(
        Q(plan=None, permit__purpose="plan") | Q(revision=None, permit__purpose="apply")
    )
    early = Step.objects.filter(state=S.RUNNING, attempt=0)
    foreign = Run.objects.filter(state=R.RUNNING).exclude(digest=F("permit__subject"))
    unreviewed = Change.objects.filter(kind=Change.Kind.BREAK_GLASS, state__in=OVER, review=None)
    gaps = Run.objects.exclude(event_seq=0).filter(~Exists(_last_event()))
    return {
        "I1_running_without_permit": unproven.count(),
        "I1_permit_for_another_purpose": misused.count(),
        "I2_permit_for_another_digest": foreign.count(),
        "I8_run_and_change_disagree": pairless.count(),
        "I9_running_without_attempt": early.count(),
        "I9_running_by_unknown_worker": enrolled.strangers(),
        "I14_emergency_without_review": unreviewed.count(),
        "I19_events_with_a_gap": gaps.filter(state__in=[R.READY, R.RUNNING, R.UNKNOWN]).count(),
    }


def _last_event() -> QuerySet[Run]:
    return Run.objects.filter(pk=OuterRef("pk"), events__seq=F("event_seq"))
