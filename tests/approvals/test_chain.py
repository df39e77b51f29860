"""Chains are opened only where people can complete them, and moved only as they were seen."""

import pytest
from django.db import transaction

from approvals import chain as chains
from approvals.models import Chain
from approvals.policy import decide
from approvals.policy.engine import PolicyRefused
from audit.refusals import StaleVersion
from tests.approvals.cast import DIGEST, TEST, facts


def test_a_chain_that_nobody_unconflicted_could_complete_is_not_opened(bank):
    decision = decide(facts(bank.noor))
    conflicted = {bank.noor.person_id, bank.ines.person_id, bank.omar.person_id}
    with pytest.raises(PolicyRefused, match="but only 0 may"), transaction.atomic():
        chains.open_chain(digest=DIGEST, decision=decision, conflicted=conflicted, by=TEST)
    assert not Chain.objects.exists()


def test_a_chain_that_moved_meanwhile_is_not_moved_again(bank):
    chain = bank.chain()
    seen = Chain.objects.get(pk=chain.pk)
    with transaction.atomic():
        chains.void(chain, by=TEST, why="edited")
    with pytest.raises(StaleVersion), transaction.atomic():
        chains.move(seen, Chain.State.COMPLETE, by=TEST)
    assert Chain.objects.get().state == Chain.State.VOID
