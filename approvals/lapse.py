"""Approvals that stopped counting before the start: whoever gave one left, or no longer stands in for somebody.

The gate refuses such a chain anyway. Here it is opened again, so that people are asked before a start is tried. It
must never close or complete anything.
"""

from collections.abc import Collection
from uuid import UUID

from django.db import connection

from approvals import chain as chains
from approvals.chain import Verdict
from approvals.models import Chain
from audit.ledger.entry import Actor

# One question for many chains, which names too many rather than too few: `reopen` judges each.
SUSPECTS = """
SELECT DISTINCT c.id
  FROM approvals_chain c
  JOIN approvals_signoff v ON v.chain_id = c.id AND v.withdrawn_at IS NULL
  JOIN approvals_stage s ON s.id = v.stage_id
  JOIN accounts_user u ON u.id = v.user_id
  LEFT JOIN accounts_delegation d ON d.id = v.delegation_id
  JOIN accounts_user o ON o.id = COALESCE(d.delegator_id, u.id)
 WHERE c.id = ANY(%s) AND c.state = 'complete' AND (
       NOT u.is_active OR NOT o.is_active OR d.ended_at IS NOT NULL OR d.ends_at <= clock_timestamp()
    OR NOT (o.id = ANY(s.user_ids) OR EXISTS (
           SELECT 1 FROM accounts_membership m
            WHERE m.user_id = o.id AND m.ended_at IS NULL AND m.since <= v.given_at
              AND m.team_id = ANY(s.team_ids || s.escalate_ids)))
    OR EXISTS (
           SELECT 1 FROM accounts_delegation x
             JOIN accounts_user away ON away.id = x.delegator_id JOIN accounts_user deputy ON deputy.id = x.delegate_id
            WHERE (away.person_id = ANY(c.conflicted) OR EXISTS (
                   SELECT 1 FROM approvals_recusal r WHERE r.chain_id = c.id AND r.person_id = away.person_id))
              AND deputy.person_id IN (v.person_id, v.owner_id)
              AND x.ended_at IS NULL AND x.starts_at <= clock_timestamp() AND x.ends_at > clock_timestamp()))
"""


def suspects(complete: Collection[UUID]) -> set[UUID]:
    """Those of these complete chains in which an approval may count no more."""
    if not complete:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(SUSPECTS, [list(complete)])
        return {row[0] for row in cursor.fetchall()}


def reopen(chain: Chain, *, by: Actor) -> bool:
    """Ask again, in the caller's transaction, if what is left is no longer enough; whether that was so."""
    chain.refresh_from_db(from_queryset=Chain.objects.select_for_update(no_key=True))
    if chain.state != Chain.State.COMPLETE:
        return False
    stages = list(chain.stages.all())
    counted = chains.standing(chain, stages)
    if chains.verdict(stages, counted, conflicted=chain.barred) == Verdict.COMPLETE:
        return False
    lapsed = {str(one.pk) for one in chains.given(chain)} - {str(one.pk) for one in counted}
    chains.move(chain, Chain.State.OPEN, by=by, why="an approval counts no more", lapsed=sorted(lapsed))
    return True
