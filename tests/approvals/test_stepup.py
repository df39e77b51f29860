"""A stage that demands passkeys: what it takes, what it refuses, what the gate believes, what the entry proves."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cbor2 import loads
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.conf import settings
from django.db import transaction

from accounts.acting import Acting
from approvals import enrolment, gate, stepup
from approvals.chain import Verdict
from approvals.policy.engine import PolicyRefused
from audit.canonical import canonical, parse
from audit.ledger import checkpoint, export
from audit.ledger.record import record
from audit.models import Entry
from audit.reports import bundle
from audit.verify import main as offline
from tests.approvals.authenticator import TEST, Authenticator, asked, b64, trusted
from tests.approvals.cast import (
    OTHER,
    Bank,
    authorise,
    demand_passkeys,
    forge,
    presented,
    sign,
    sql,
    stage,
)
from tests.audit.log import sequence

WHAT_RUNS = {"change": "c", "revision": 1}


@pytest.fixture
def phone():
    return Authenticator()


@pytest.fixture
def chain(db, phone):
    bank = Bank()
    demand_passkeys(bank)
    trusted(bank.sam, phone)
    made = bank.chain()
    sign(made, bank.ines, "Service owner")
    return bank, made


def test_an_approval_that_a_passkey_proves_opens_the_gate(chain, phone):
    bank, made = chain
    proof = presented(made, bank.sam, "Security", phone)
    assert sign(made, bank.sam, "Security", comment="", passkey=proof) == Verdict.COMPLETE
    assert authorise(made, content=WHAT_RUNS)


def test_a_stage_that_demands_a_passkey_takes_no_approval_without_one(chain):
    bank, made = chain
    with pytest.raises(stepup.PasskeyMissing, match="was not stored"):
        sign(made, bank.sam, "Security")
    assert made.sign_offs.count() == 1


@pytest.mark.parametrize("decision", ["send_back", "reject"])
def test_saying_no_never_needs_a_passkey(chain, decision):
    bank, made = chain
    assert sign(made, bank.sam, "Security", decision) in {Verdict.SENT_BACK, Verdict.REJECTED}


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": OTHER},
        {"chain_digest": OTHER},
        {"decision": "reject"},
        {"revision": 2},
        {"change": "d"},
        {"stage": "another"},
        {"condition_digest": OTHER},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_b14_a_signature_over_anything_else_is_refused(chain, phone, changed):
    bank, made = chain
    proof = presented(made, bank.sam, "Security", phone, **changed)
    with pytest.raises(stepup.PasskeyWrong, match="something else"):
        sign(made, bank.sam, "Security", passkey=proof)


def test_neither_anothers_key_nor_one_that_nobody_vouched_for_signs(chain, phone):
    bank, made = chain
    other = Authenticator()
    trusted(bank.lena, other)
    with pytest.raises(stepup.PasskeyWrong, match="not one of yours"):
        sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", other))
    new = Authenticator()
    asked(bank.sam, new)
    with pytest.raises(stepup.PasskeyWrong, match="vouched"):
        sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", new))


def test_a_stage_for_people_without_passkeys_is_refused_before_anybody_is_asked(db):
    bank = Bank()
    demand_passkeys(bank)
    with pytest.raises(PolicyRefused, match="0 of the 2 who may agree have a trusted one"):
        bank.chain()


def test_a_session_stage_may_be_signed_with_a_passkey_and_keeps_the_proof(bank, phone):
    trusted(bank.ines, phone)
    made = bank.chain()
    sign(made, bank.ines, "Service owner", passkey=presented(made, bank.ines, "Service owner", phone))
    kept = made.sign_offs.get()
    assert kept.passkey is not None
    assert kept.assertion is not None


def test_the_gate_counts_no_approval_whose_key_was_revoked_before_the_start(chain, phone):
    bank, made = chain
    proof = presented(made, bank.sam, "Security", phone)
    sign(made, bank.sam, "Security", passkey=proof)
    enrolment.revoke(enrolment.mine(Acting(bank.sam, "session"))[0].pk, by=Acting(bank.sam, "session"))
    with pytest.raises(gate.PasskeyUnproved):
        authorise(made, content=WHAT_RUNS)


def test_the_gate_counts_no_approval_of_another_revision(chain, phone):
    bank, made = chain
    sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", phone))
    for runs in ({}, {"change": "c", "revision": 2}, {"change": "d", "revision": 1}):
        with pytest.raises(gate.PasskeyUnproved):
            authorise(made, content=runs)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_the_ledger_alone_proves_a_decision_years_later(db, algorithm):
    """By docs/reference/ledger-format.md and a library for signatures; with no line of the product and no table."""
    bank, device = Bank(), Authenticator(algorithm=algorithm)
    demand_passkeys(bank)
    trusted(bank.sam, device)
    made = bank.chain()
    sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", device))
    data = parse(bytes(Entry.objects.get(kind="sign_off.given").body))["data"]
    key = parse(bytes(Entry.objects.get(kind="passkey.trusted").body))["data"]
    verify(data, key)
    for changed in (
        {"decision": "reject"},
        {"digest": OTHER},
        {"stage": "another"},
        {"condition_digest": OTHER},
    ):
        with pytest.raises((AssertionError, InvalidSignature)):
            verify({**data, **changed}, key)


def verify(data, key):
    """What the document says, in five steps."""
    signed = data["passkey"]
    told = ("digest", "chain_digest", "stage", "decision", "condition_digest")
    statement = {name: data[name] for name in told} | {name: signed[name] for name in ("change", "revision")}
    challenge = hashlib.sha256(b"countersign/sign-off/v1\0" + canonical(statement)).digest()
    client = plain(signed["client_data"])
    assert json.loads(client)["type"] == "webauthn.get"
    assert plain(json.loads(client)["challenge"]) == challenge
    authenticator = plain(signed["authenticator_data"])
    assert authenticator[:32] == hashlib.sha256(signed["rp"].encode()).digest()
    assert authenticator[32] & 0x05 == 0x05
    assert (key["public_key"], key["person"]) == (signed["public_key"], data["person"])
    cose, message = loads(plain(key["public_key"])), authenticator + hashlib.sha256(client).digest()
    if cose[3] == -8:
        ed25519.Ed25519PublicKey.from_public_bytes(cose[-2]).verify(plain(signed["signature"]), message)
        return
    x, y = (int.from_bytes(cose[one], "big") for one in (-2, -3))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(plain(signed["signature"]), message, ec.ECDSA(hashes.SHA256()))


def plain(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_b13_a_row_forged_by_sql_is_no_proof_whatever_it_says(chain, phone):
    bank, made = chain
    proof = presented(made, bank.sam, "Security", phone)
    row = forge(made, bank.sam, stage(made, "Security").pk)
    sql(
        "UPDATE approvals_signoff SET passkey_id = (SELECT id FROM approvals_passkey), assertion = %s WHERE id = %s",
        json.dumps({**proof.assertion.kept, "signature": "AAAA"}),
        row.pk,
    )
    sql("UPDATE approvals_chain SET state = 'complete' WHERE id = %s", made.pk)
    with pytest.raises(gate.SignOffForged):
        authorise(made, content=WHAT_RUNS)


# --- years later, from an exported ledger alone ------------------------------------------------------------


def exported(folder):
    """Every entry of an export, read as an offline tool reads it: a file of lines, in the order of the log."""
    sequence()
    export.write(folder)
    return [json.loads(line) for line in (folder / "entries.jsonl").read_bytes().splitlines()]


def proved(entries, trust):
    """Of each decision with a passkey whether it is proved: by entries before it and the workers' public key.

    By docs/reference/ledger-format.md; with no line of the product, and no table.
    """
    keys, found = {}, []
    for entry in entries:
        data = entry["data"]
        if entry["type"] == "passkey.trusted" and vouched(data, trust):
            keys[data["passkey"]] = data
        elif entry["type"] == "passkey.revoked":
            keys.pop(data["passkey"], None)
        elif entry["type"] == "sign_off.given" and "passkey" in data:
            found.append(holds(data, keys.get(data["passkey"]["passkey"])))
    return found


def vouched(data, trust):
    """Whether the key that the auditor noted signed exactly this key of exactly this person."""
    named = ("passkey", "credential", "public_key", "rp", "person", "account")
    message = (
        b"countersign/trust/v1\0"
        + json.dumps(
            {name: data[name] for name in named}, separators=(",", ":"), sort_keys=True, ensure_ascii=False
        ).encode()
    )
    try:
        trust.verify(base64.b64decode(data["trust"].split(":")[2]), message)
    except InvalidSignature:
        return False
    return True


def holds(data, key):
    try:
        return key is not None and (verify(data, key), True)[1]
    except (AssertionError, InvalidSignature):
        return False


def the_workers_key():
    """As it is handed to an auditor: the file that `public/worker/` holds."""
    text = (Path(settings.KEY_DIR) / "public/worker/trust.pub").read_text().split()[-1]
    return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))


def test_an_export_proves_a_decision_that_its_table_has_lost(chain, phone, tmp_path):
    """Signed, the key revoked, and then everything but the log is gone: the decision stands, as it was made."""
    bank, made = chain
    sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", phone))
    enrolment.revoke(enrolment.mine(Acting(bank.sam, "session"))[0].pk, by=Acting(bank.sam, "session"))
    sql("UPDATE approvals_passkey SET public_key = 'AAAA', trust = '', state = 'asked'")
    sql("DELETE FROM approvals_signoff")
    entries = exported(tmp_path)
    assert proved(entries, the_workers_key()) == [True]


def test_an_export_proves_nothing_that_was_signed_after_the_key_was_revoked(chain, phone, tmp_path):
    bank, made = chain
    sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", phone))
    entries = exported(tmp_path)
    [place] = [
        at for at, one in enumerate(entries) if "authenticator_data" in str(one["data"].get("passkey"))
    ]
    used = entries[place]["data"]["passkey"]["passkey"]
    [trusted_] = [
        one for one in entries if one["type"] == "passkey.trusted" and one["data"]["passkey"] == used
    ]
    revoked = {**trusted_, "type": "passkey.revoked"}
    assert proved([*entries[:place], revoked, *entries[place:]], the_workers_key()) == [False]


def test_an_export_proves_nothing_by_a_key_for_which_nobody_vouched(chain, phone, tmp_path):
    """Whoever writes the log without the workers' key can say that a key is trusted, not show it."""
    bank, made = chain
    sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", phone))
    entries = exported(tmp_path)
    stranger = ed25519.Ed25519PrivateKey.generate()
    assert proved(entries, stranger.public_key()) == [False]
    assert proved([one for one in entries if one["type"] != "passkey.trusted"], the_workers_key()) == [False]
    other = b64(Authenticator().cose)
    swapped = [
        {**one, "data": {**one["data"], "public_key": other}} if one["type"] == "passkey.trusted" else one
        for one in entries
    ]
    assert proved(swapped, the_workers_key()) == [False]


def test_the_program_that_is_handed_out_proves_each_sign_off_of_a_bundle(chain, phone, tmp_path, capsys):
    bank, made = chain
    sign(made, bank.sam, "Security", passkey=presented(made, bank.sam, "Security", phone))
    sequence()
    taken = bundle.take({}, by=TEST)
    (tmp_path / "log.zip").write_bytes(b"".join(taken.pieces()))
    (tmp_path / "trust.json").write_bytes(checkpoint.trust(1))
    call = ["signoffs", str(tmp_path / "log.zip"), "--trust", str(tmp_path / "trust.json")]
    assert offline(call) == 0
    said = capsys.readouterr().out
    assert (
        "1 sign-offs are proved by passkeys of 1 people. 1 have none, and none of these needed one." in said
    )
    without = json.loads(checkpoint.trust(1)) | {"workers": []}
    (tmp_path / "trust.json").write_text(json.dumps(without))
    assert offline(call) in {1, 2}


def test_the_program_names_an_approval_that_lacks_the_passkey_that_policy_demanded(chain, tmp_path, capsys):
    """As somebody would who writes entries past the product: the log is right, the decision is not."""
    bank, made = chain
    demanded = stage(made, "Security")
    record_of = parse(bytes(Entry.objects.filter(kind="sign_off.given").latest("id").body))["data"]
    with transaction.atomic():
        record(
            "sign_off.given", of=None, subject=made.subject, actor=TEST,
            **record_of | {"stage": str(demanded.pk), "person": str(bank.sam.person_id)},
        )  # fmt: skip
    sequence()
    taken = bundle.take({}, by=TEST)
    (tmp_path / "log.zip").write_bytes(b"".join(taken.pieces()))
    (tmp_path / "trust.json").write_bytes(checkpoint.trust(1))
    assert offline(["signoffs", str(tmp_path / "log.zip"), "--trust", str(tmp_path / "trust.json")]) == 1
    assert "policy demanded a passkey for this approval, and it has none" in capsys.readouterr().out
