"""What the product really writes: a change that ran is effective under every test, and the ledger fits."""

import pytest

from audit import search
from audit.controls import evaluate
from audit.controls.evaluate import Scope
from audit.ledger import checkpoint, examine
from tests.audit.log import as_insider, newest, sequence
from tests.orchestration.bank import Bank

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def done(settings, tmp_path):
    settings.KEY_DIR = tmp_path
    bank = Bank()
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, "noor", "Security")
    bank.run()
    sequence()
    change.bank = bank
    return change


def test_a_change_that_ran_is_effective_under_every_control_test(done):
    report = evaluate.evaluate(newest(), Scope())
    assert {one.control.id: one.result for one in report.tested} == dict.fromkeys(
        ("CT-01", "CT-02", "CT-03", "CT-04", "CT-07"), "effective"
    ) | {"CT-08": "not_tested"}
    row = report.tested[0].rows[0]
    assert (row["change"], row["service"], len(row["approvers"])) == (done.key, "payments-api", 2)


def test_everything_the_product_wrote_fits_and_an_edited_state_does_not(done):
    assert examine.examine(checkpoint.verifier()).findings == []
    as_insider("UPDATE orchestration_change SET state = 'withdrawn'")
    assert [one.text for one in examine.examine(checkpoint.verifier()).findings] == [
        f"The change {done.pk} was edited: it is not as its newest entry sealed it."
    ]


def test_the_search_tells_the_whole_story_of_a_change_and_of_no_other(done):
    other = done.bank.change()
    sequence()
    story = set(search.find(search.parse(f"about:{done.key}")).values_list("entry__kind", flat=True))
    assert {"change.requested", "chain.opened", "sign_off.given", "permit.issued", "step.succeeded"} <= story
    assert search.find(search.parse(f"about:{done.key} kind:sign_off.*")).count() == 2
    assert not search.find(search.parse(f"about:{other.key} kind:sign_off.*")).exists()
