"""Workers are witnesses of the log: nothing starts under a log that does not begin with the one they saw."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from approvals import closed, keys, known, witness
from audit.ledger import checkpoint, note
from tests.approvals.test_insider_start import refused
from tests.audit.insider import Story, edit_and_rebuild, restore
from tests.audit.log import as_insider, newest, sequence, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def story():
    return Story()


def forked(match):
    return pytest.raises(closed.LedgerForked, match=match)


def test_the_first_checkpoint_is_believed_and_each_that_follows_it_is_remembered():
    witness.check()
    assert known.log() is None, "nothing is signed yet"
    for number in (1, 300, 5):
        write(number)
        sequence()
        witness.check()
        assert known.log() == (newest().size, bytes(newest().root))


def test_g01_a_log_that_was_rewritten_and_signed_with_the_signers_stolen_key_starts_nothing(story):
    witness.check()
    edit_and_rebuild(story)
    with forked("does not begin with"):
        witness.check()
    write(300)
    sequence()
    with forked("does not begin with"):
        witness.check()


def test_g01_a_log_that_is_shorter_or_has_no_checkpoint_left_starts_nothing(story):
    witness.check()
    seen = known.log()
    restore(story)
    with forked("does not begin with"):
        witness.check()
    as_insider("DELETE FROM audit_checkpoint")
    with forked("No checkpoint is left"):
        witness.check()
    assert known.log() == seen, "what it saw stays"


def test_a_checkpoint_under_a_key_that_the_signer_never_published_starts_nothing(story):
    witness.check()
    write(1)
    sequence()
    thief = note.Signer(checkpoint.verifier().name, Ed25519PrivateKey.generate())
    text = newest().note.partition("\n\n")[0] + "\n"
    as_insider("UPDATE audit_checkpoint SET note = %s WHERE size = %s", thief.sign(text), newest().size)
    with forked("cannot be believed: no signature by"):
        witness.check()


def test_g01_the_claim_asks_its_own_memory_before_anything_starts(story, settings):
    witness.check()
    edit_and_rebuild(story)
    assert refused(story.waiting, settings) == closed.LedgerForked.code


def test_the_web_server_neither_reads_nor_writes_what_workers_saw(settings):
    settings.SIGNS_AS = "web"
    with pytest.raises(keys.KeyNotHeld):
        witness.check()
