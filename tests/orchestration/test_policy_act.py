"""A policy from Git judges only after a governed act, which the policy before it judges."""

import pytest

from approvals.policy import bundles, commits
from approvals.signoffs import OwnChange
from audit.models import Entry
from audit.refusals import Invalid
from orchestration import changes
from tests.approvals.cast import sql
from tests.approvals.gitted import RULES, SOUND, Kept
from tests.factories import TEST
from tests.orchestration.test_governed import agree, ask, bank, node, run

__all__ = ["bank", "node"]
pytestmark = pytest.mark.django_db(transaction=True)
C = changes.C
NOBODY = RULES.replace("[input.service.owner]", '["platform"]')


@pytest.fixture
def synced(bank, tmp_path, settings):
    """Commit these files; the digest of what was seen."""
    kept = Kept(tmp_path / "policy.git")
    settings.POLICY_REPOSITORY = str(kept.path)

    def sync(files, **more):
        kept.commit(files, **more)
        assert commits.sync(by=TEST).problem == ""
        return bundles.digest(files)

    return sync


def test_d01_a_policy_is_judged_by_the_one_before_it(bank, node, synced):
    old = bundles.active()
    digest = synced(SOUND)  # would ask the owner alone, and Security never again
    change = ask(bank, "policy-activate", bundle=digest)
    assert {one.name for one in change.revision.chain.stages.all()} == {"Service owner", "Security"}
    agree(change, bank, "sam")
    assert bundles.active() == old
    agree(change, bank, "noor")
    assert bundles.active() == old, "nothing judges before a worker may start it"
    assert run(change, node).state == C.SUCCEEDED
    assert (bundles.active().digest, bundles.active().serial) == (digest, old.serial + 1)
    assert Entry.objects.get(kind="bundle.activated", actor=f"change:{change.key}")


def test_d01_whoever_wrote_a_policy_never_agrees_to_it(bank, synced):
    noor = bank.people["noor"].user
    sql("UPDATE accounts_user SET email = 'noor@bank.example' WHERE id = %s", noor.pk)
    change = ask(bank, "policy-activate", bundle=synced(SOUND, by="Another name <noor@bank.example>"))
    with pytest.raises(OwnChange):
        agree(change, bank, "noor")


def test_a_broken_commit_cannot_be_asked_for(bank, synced):
    digest = synced({**SOUND, "owner.rego": RULES.replace("deny := []", "deny := [")})
    with pytest.raises(Invalid, match="No sound commit"):
        ask(bank, "policy-activate", bundle=digest)


def test_d08_an_older_policy_returns_by_the_same_act_under_a_new_number(bank, node, synced):
    first, second = synced(SOUND), synced({**SOUND, "more.rego": "package more\n"})
    for digest in (first, second):
        commits.activate(commits.examined(digest), by=TEST)
    change = ask(bank, "policy-activate", bundle=first)
    agree(change, bank, "sam")
    run(change, node)
    assert (bundles.active().digest, bundles.active().serial) == (first, 4)
