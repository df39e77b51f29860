"""Signed notes and checkpoints: what is accepted, and what never."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.ledger import checkpoint, note
from audit.ledger.merkle import EMPTY_ROOT

# The example of the specification of Go's note package: key, text and signature are public.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture
def signer():
    return make("log.example/main")


def make(name):
    return note.Signer(name, Ed25519PrivateKey.generate())


def test_a_note_of_another_implementation_is_accepted():
    text = note.opened(GO_NOTE, note.parse_verifier(GO_KEY))
    assert text.endswith("your problem is.\n")


def test_a_signed_text_is_read_back(signer):
    assert note.opened(signer.sign("a\nb\n"), signer.verifier) == "a\nb\n"
    assert note.parse_verifier(str(signer.verifier)) == signer.verifier


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("a\n", "A\n", 1),
        lambda text: text.replace("log.example", "log.example2"),
        lambda text: text[:-1],
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text[:-8] + "AAAA" + text[-4:],
        lambda text: text[:0],
    ],
)
def test_a_damaged_note_is_not_accepted(signer, damage):
    with pytest.raises(note.BadNote):
        note.opened(damage(signer.sign("a\nb\n")), signer.verifier)


def test_another_key_of_the_same_name_is_not_accepted(signer):
    other = make(signer.name)
    with pytest.raises(note.BadNote):
        note.opened(other.sign("a\n"), signer.verifier)


def test_a_checkpoint_says_origin_size_and_root(signer):
    said = checkpoint.Signed(signer.name, 0, EMPTY_ROOT)
    assert checkpoint.read(signer.sign(said.text()), [signer.verifier]) == said


@pytest.mark.parametrize("text", ["log.example/main\n", "other\n1\nAAAA\n", "log.example/main\n01\n{root}\n"])
def test_a_note_that_is_no_checkpoint_of_this_log_is_refused(signer, text):
    text = text.replace("{root}", base64.b64encode(EMPTY_ROOT).decode())
    with pytest.raises(note.BadNote):
        checkpoint.read(signer.sign(text), [signer.verifier])
