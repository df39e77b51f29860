"""What must hold at the end of every fault test: the invariants, the ledger, and no process left over.

Asked of the rows themselves, by SQL of its own beside what the product counts. Each answer must be 0.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.product import Asker
from tests.stack import Stack, wait_for

_STATE_TOLD = """
    SELECT count(*) FROM orchestration_{what} r WHERE '{what}.' || r.state <> (
        SELECT e.kind FROM audit_entry e WHERE e.stream = r.id AND e.kind = ANY(ARRAY[{kinds}])
         ORDER BY e.stream_version DESC LIMIT 1)
"""


def _told(what: str, *states: str) -> str:
    return _STATE_TOLD.format(what=what, kinds=", ".join(f"'{what}.{one}'" for one in states))


INVARIANTS = {
    "I1 I2 I3 I6: too few people stand behind what was started": """
        SELECT count(*) FROM orchestration_run r JOIN orchestration_revision v ON v.id = r.revision_id
          JOIN approvals_chain c ON c.id = v.chain_id JOIN approvals_stage s ON s.chain_id = c.id
         WHERE r.permit_id IS NOT NULL AND s.quorum > (
            SELECT count(DISTINCT o.person_id) FROM approvals_signoff o
             WHERE o.stage_id = s.id AND o.subject = v.digest AND o.withdrawn_at IS NULL
               AND o.decision LIKE 'approve%%' AND o.person_id <> ALL(c.conflicted))""",
    "I1: an attempt without a permit": """
        SELECT count(*) FROM orchestration_stepattempt a JOIN orchestration_step s ON s.id = a.step_id
          JOIN orchestration_run r ON r.id = s.run_id WHERE r.permit_id IS NULL""",
    "I2: the permit, the run and the revision name different bytes": """
        SELECT count(*) FROM orchestration_run r JOIN orchestration_revision v ON v.id = r.revision_id
          JOIN approvals_permit p ON p.id = r.permit_id
         WHERE r.digest <> v.digest OR p.subject <> v.digest""",
    "I4: an attempt began after somebody had asked to stop": """
        SELECT count(*) FROM orchestration_stepattempt a JOIN orchestration_step s ON s.id = a.step_id
          JOIN orchestration_run r ON r.id = s.run_id WHERE a.started_at > r.cancel_requested_at""",
    "I7: one person twice in a chain": """
        SELECT count(*) FROM (SELECT 1 FROM approvals_signoff WHERE withdrawn_at IS NULL
         GROUP BY chain_id, person_id HAVING count(*) > 1) AS twice""",
    "I8: something was told of a run behind its end": """
        SELECT count(*) FROM audit_entry e JOIN audit_entry later ON later.stream = e.stream
           AND later.stream_version > e.stream_version
         WHERE e.kind IN ('run.succeeded', 'run.failed', 'run.cancelled')""",
    "I9: attempts are not numbered 1 to n": """
        SELECT count(*) FROM orchestration_step s LEFT JOIN LATERAL (
            SELECT count(*) AS n, coalesce(max(number), 0) AS last FROM orchestration_stepattempt
             WHERE step_id = s.id) AS tried ON true
         WHERE s.attempt <> tried.n OR s.attempt <> tried.last""",
    "I9: an attempt is open that nobody holds": """
        SELECT count(*) FROM orchestration_stepattempt a JOIN orchestration_step s ON s.id = a.step_id
         WHERE a.ended_at IS NULL AND NOT (s.state IN ('running', 'asking') AND a.number = s.attempt)""",
    "I9: two attempts at once": """
        SELECT count(*) FROM orchestration_stepattempt a JOIN orchestration_stepattempt b
            ON b.step_id = a.step_id AND b.number > a.number AND b.started_at < a.ended_at""",
    "I10: attempts and starts in the ledger differ": """
        SELECT count(*) FROM orchestration_step s WHERE s.attempt <> (
            SELECT count(*) FROM audit_entry e
             WHERE e.stream = s.id AND e.kind IN ('step.running', 'step.asking'))""",
    "I11: what may happen once was started twice": """
        SELECT count(*) FROM orchestration_step s WHERE s.effect = 'at_most_once'
           AND NOT s.spec ? 'retry_exit_codes' AND 1 < (
            SELECT count(*) FROM orchestration_stepattempt a WHERE a.step_id = s.id
               AND a.outcome <> 'unstarted' AND a.answer <> 'retry')""",
    "I12: a step began before one that it needs had ended": """
        SELECT count(*) FROM orchestration_step s JOIN orchestration_step before
            ON before.run_id = s.run_id AND s.needs ? before.key
          JOIN orchestration_stepattempt a ON a.step_id = s.id
         WHERE before.ended_at IS NULL OR a.started_at < before.ended_at""",
    "I13: a lease is over and nobody noticed": """
        SELECT count(*) FROM orchestration_step
         WHERE state = 'running' AND lease_until < clock_timestamp() - interval '15 seconds'""",
    "I19: the events of a run have a gap": """
        SELECT count(*) FROM orchestration_run r WHERE r.event_seq <> (
            SELECT count(*) FROM orchestration_runevent e WHERE e.run_id = r.id AND e.seq <= r.event_seq)""",
    "I20: the state of a run is not what the ledger says": _told(
        "run", "running", "succeeded", "failed", "cancelled", "unknown"
    ),
    "I20: the state of a step is not what the ledger says": _told(
        "step", "ready", "running", "asking", "succeeded", "failed", "timed_out", "cancelled", "skipped",
        "omitted", "unknown",
    ),
}  # fmt: skip


def broken(query: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, int]:
    """The invariants that do not hold, and how often."""
    counts = {name: query(sql)[0][0] for name, sql in INVARIANTS.items()}
    return {name: count for name, count in counts.items() if count}


def processes_of(runs: set[str]) -> list[int]:
    """Processes that were started for one of these runs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found += [int(folder.name) for one in told if one.startswith(b"COUNTERSIGN_RUN=")
                  and one[16:].decode() in runs]  # fmt: skip
    return found


def check(stack: Stack, ask: Asker) -> None:
    """Wait until nothing moves any more, then look at everything."""
    running = "SELECT count(*) FROM orchestration_step WHERE state = 'running'"
    wait_for(lambda: stack.query(running) == [(0,)], seconds=60, what=f"the end of all steps\n{stack.logs()}")
    queued = "SELECT count(*) FROM audit_pending"
    wait_for(lambda: stack.query(queued) == [(0,)], seconds=60, what=f"an empty queue\n{stack.logs()}")
    assert broken(stack.query) == {}
    told = ask.do("check")
    assert {name: count for name, count in told["violations"].items() if count} == {}
    assert told["findings"] == []
    runs = {str(row[0]) for row in stack.query("SELECT id FROM orchestration_run")}
    wait_for(lambda: processes_of(runs) == [], seconds=15, what=f"the end of {processes_of(runs)}")


def check_here() -> None:
    """The same of the database of this process, where workers were threads and left no processes."""
    from django.db import connection

    from audit.ledger import checkpoint, examine
    from orchestration.engine.invariants import violations
    from tests.audit.log import sequence

    def query(sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, [])
            return list(cursor.fetchall())

    assert broken(query) == {}
    assert {name: count for name, count in violations().items() if count} == {}
    sequence()
    assert [one.text for one in examine.examine(checkpoint.keys()).findings] == []
