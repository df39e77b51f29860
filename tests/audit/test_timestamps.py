"""Timestamps (RFC 3161) over checkpoints: had daily and when the log leaves, kept, handed on, checked by three."""

import contextlib
import hashlib
import io
import time
import zipfile

import pytest
import rfc3161_client
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import DatabaseError, connection

import audit.verify
from audit import tasks
from audit.archive import writing
from audit.canonical import parse
from audit.controls.evaluate import Scope, report
from audit.controls.facts import fold
from audit.controls.seals import seals
from audit.ledger import checkpoint, stamped, tsa
from audit.ledger.entry import Actor
from audit.ledger.export import numbered
from audit.models import Entry, Timestamp
from audit.reports import bundle
from tests.accounts.cast import person, team
from tests.audit import offline
from tests.audit.log import as_insider, newest, sequence, write
from tests.tsa import certify, openssl_verifies, serving

pytestmark = pytest.mark.django_db(transaction=True)
SOMEBODY = Actor(id="somebody", kind="person", auth="session")
NONE = (200, "application/timestamp-reply")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("tsa") / "ours") as authority:
        yield authority


@pytest.fixture
def authority(served, settings, tmp_path):
    """The authority that is set, and a log of five entries that it has not seen."""
    settings.KEY_DIR = tmp_path / "keys"
    settings.TSA_URL, settings.TSA_CA_PATH = served.url, served.ca
    served.instead, served.asked = None, 0
    write(5)
    sequence()
    return served


def bundled(path):
    made = bundle.take({}, by=SOMEBODY)
    path.write_bytes(b"".join(made.pieces()))
    return path


def offline_check(capsys, what, path, **more):
    options = [part for name, value in more.items() for part in (f"--{name}", value)]
    return offline.check(capsys, what, path, "--key", checkpoint.verifier(), *options)


def examined():
    out = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command("ledger", "verify", stdout=out)
    return out.getvalue()


def test_once_a_day_the_authority_sees_the_newest_checkpoint_and_that_is_an_entry(authority):
    tasks.keep()
    tasks.keep()
    kept = Timestamp.objects.get()
    assert authority.asked == 1
    assert (kept.checkpoint.size, kept.authority) == (5, "127.0.0.1")
    [entry] = Entry.objects.filter(kind="checkpoint.timestamped")
    assert parse(bytes(entry.body))["data"]["digest"] == tsa.Token(bytes(kept.reply), kept.at).digest
    assert stamped.fault_of(kept) == ""
    sequence()
    as_insider("UPDATE audit_timestamp SET created_at = now() - interval '24 hours'")
    tasks.keep()
    assert Timestamp.objects.filter(checkpoint=newest()).exists()


def test_without_an_authority_nobody_is_asked(authority, settings):
    settings.TSA_URL = ""
    tasks.keep()
    assert stamped.leaving() == newest()
    assert authority.asked == 0


def test_three_agree_on_the_token_of_a_bundle(authority, capsys, tmp_path):
    path = bundled(tmp_path / "log.zip")
    code, said = offline_check(capsys, "bundle", path)
    assert code == 0, said
    kept = Timestamp.objects.get()
    assert f"over: 1; the newest, over 5 entries, says {kept.at:%Y-%m-%d %H:%M:%S} UTC." in said
    assert "Not checked: who signed the timestamps" in said
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    reply, note = tmp_path / "timestamps/5.tsr", tmp_path / "timestamps/5.note"
    assert openssl_verifies(reply, note, authority.ca)
    assert tsa.check(reply.read_bytes(), note.read_bytes()).at == kept.at
    note.write_bytes(note.read_bytes() + b"\n")
    assert not openssl_verifies(reply, note, authority.ca)
    with pytest.raises(tsa.NoTimestamp, match="Mismatch between messages"):
        tsa.check(reply.read_bytes(), note.read_bytes())


def test_it_goes_with_an_export_and_into_the_archive(authority, capsys, tmp_path):
    call_command("ledger", "export", str(tmp_path / "export"), stdout=io.StringIO())
    code, said = offline_check(capsys, "export", tmp_path / "export")
    assert (code, "timestamps are over: 1" in said) == (0, True), said
    sequence()
    as_insider("UPDATE audit_timestamp SET created_at = now() - interval '2 minutes'")
    writing.archive(str(tmp_path / "archive"), by=writing.KEEPER)
    code, said = offline_check(capsys, "archive", tmp_path / "archive")
    assert (code, "timestamps are over: 2" in said) == (0, True), said
    (tmp_path / "export/timestamps/5.tsr").unlink()
    assert offline_check(capsys, "export", tmp_path / "export")[0] == 1


def test_however_often_the_log_is_taken_the_authority_is_asked_once_a_minute(authority):
    for _ in range(3):
        bundle.take({}, by=SOMEBODY).file.close()
    assert authority.asked == 1


@pytest.mark.parametrize(
    ("instead", "says"),
    [
        ((500, "text/plain", b"away"), "status 500"),
        ((200, "text/html", b"<html>"), "no timestamp"),
        ((*NONE, b"\x30\x00"), "does not verify"),
        ((*NONE, b""), "does not verify"),
        ((*NONE, b"\x00" * (tsa.MOST_BYTES + 1)), "more than a timestamp"),
        ((302, "application/timestamp-reply", b""), "status 302"),
    ],
)
def test_an_authority_that_answers_something_else_costs_the_timestamp_and_not_the_bundle(
    authority, capsys, tmp_path, instead, says
):
    authority.instead = instead
    with pytest.raises(tsa.NoTimestamp, match=says):
        tsa.ask(b"note")
    code, said = offline_check(capsys, "bundle", bundled(tmp_path / "log.zip"))
    assert (code, "timestamps" in said) == (0, False)
    assert not Timestamp.objects.exists()


def test_an_authority_that_drips_is_not_waited_for(authority, monkeypatch):
    """Each byte in time, and the answer never."""
    monkeypatch.setattr(tsa, "SECONDS", 0.2)
    monkeypatch.setattr(authority, "piece", 10)
    monkeypatch.setattr(authority, "wait", lambda: time.sleep(0.05))
    with pytest.raises(tsa.NoTimestamp, match="answers too slowly"):
        tsa.ask(b"note")


def test_of_two_who_ask_for_one_checkpoint_the_first_is_kept(authority):
    first, second = (stamped.take(newest(), by=SOMEBODY) for _ in range(2))
    assert authority.asked == 2
    assert (first.reply, Entry.objects.filter(kind="checkpoint.timestamped").count()) == (
        bytes(second.reply),
        1,
    )


def test_a_chain_of_certificates_in_any_order_is_read(authority, monkeypatch, tmp_path):
    """DER has one order for them, which many authorities do not keep; nobody signs it."""
    monkeypatch.setattr(authority, "section", "chain")
    reply = tsa.ask(b"note").reply
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        rfc3161_client.decode_timestamp_response(reply)
    (tmp_path / "reply").write_bytes(reply)
    (tmp_path / "note").write_bytes(b"note")
    assert openssl_verifies(tmp_path / "reply", tmp_path / "note", authority.ca)
    with pytest.raises(tsa.NoTimestamp):
        tsa.check(reply, b"another note")


def test_an_answer_to_an_older_question_is_not_taken(authority):
    """The nonce of each question is its own."""
    old = tsa.ask(newest().note.encode())
    authority.instead = (*NONE, old.reply)
    with pytest.raises(tsa.NoTimestamp, match="Nonce"):
        stamped.take(newest(), by=SOMEBODY)


def test_an_authority_that_nobody_here_trusts_is_not_believed(authority, settings, tmp_path):
    certify(tmp_path / "other")
    settings.TSA_CA_PATH = tmp_path / "other/ca.pem"
    with pytest.raises(tsa.NoTimestamp, match="does not verify"):
        tsa.ask(b"note")
    settings.TSA_URL = "http://127.0.0.1:9/"
    with pytest.raises(tsa.NoTimestamp, match="does not answer"):
        tsa.ask(b"note")


def test_a_timestamp_that_was_changed_moved_or_taken_away_is_found(authority, settings):
    stamped.daily()
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_timestamp")
    sequence()
    assert "Everything fits." in examined()
    as_insider("UPDATE audit_timestamp SET at = at - interval '1 day'")
    assert "The time that is shown for it is not its own" in examined()
    as_insider("UPDATE audit_timestamp SET at = at + interval '1 day', reply = reply || '\\x00'::bytea")
    assert "is not the one that was recorded" in examined()
    as_insider("DELETE FROM audit_timestamp")
    assert "The timestamp over the checkpoint of 5 entries is gone." in examined()


def test_the_control_test_of_the_log_holds_each_timestamp_against_what_was_recorded(authority):
    stamped.daily()
    sequence()
    size, end = Timestamp.objects.get().checkpoint_id, newest().size

    def found():
        facts = fold(numbered(end), seals(end), end)
        rows = report(facts, newest(), Scope()).of("CT-12").rows
        return {row["item"]: row["reason"] for row in rows}[str(size)]

    assert found() == "as_signed"
    as_insider("UPDATE audit_timestamp SET reply = reply || '\\x00'::bytea")
    assert found() == "other_stamp"
    as_insider("DELETE FROM audit_timestamp")
    assert found() == "other_stamp"


def test_where_nobody_can_tell_whether_it_verifies_that_is_said(authority, settings):
    stamped.daily()
    sequence()
    settings.TSA_CA_PATH = None
    assert "Not checked: who signed the timestamps. COUNTERSIGN_TSA_CA_PATH" in examined()
    assert "The ledger was altered" not in examined()


def test_the_page_says_who_saw_the_log_and_hands_the_answer_out(authority, settings, client, tmp_path):
    reader = person("Ada", "auditors")
    team("auditors").group.permissions.add(Permission.objects.get(codename="view_entry"))
    client.force_login(reader, backend="django.contrib.auth.backends.ModelBackend")
    assert "No timestamp yet" in client.get("/audit/checkpoints/").content.decode()
    stamped.daily()
    settings.ARCHIVE = str(tmp_path / "archive")
    tasks.keep()
    page = client.get("/audit/checkpoints/").content.decode()
    assert "127.0.0.1 saw the checkpoint of 5 entries" in page
    assert "Its signature holds, and it is over this checkpoint." in page
    assert "Archived, never tried out" in page
    (tmp_path / "reply").write_bytes(client.get("/audit/checkpoints/5.tsr").content)
    (tmp_path / "note").write_bytes(client.get("/audit/checkpoints/5.note").content)
    assert openssl_verifies(tmp_path / "reply", tmp_path / "note", authority.ca)
    assert client.get("/audit/checkpoints/4.tsr").status_code == 404
    call_command("ledger", "restore-check", stdout=io.StringIO())
    assert "it was restored and verified" in client.get("/audit/checkpoints/").content.decode()
    as_insider("UPDATE audit_timestamp SET reply = substr(reply, 2)")
    assert "The newest timestamp does not verify" in client.get("/audit/checkpoints/").content.decode()
    client.force_login(person("Mallory"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/audit/checkpoints/5.tsr").status_code == 403
    assert client.get("/audit/checkpoints/5.note").status_code == 403


# --- offline ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stamped_log(authority):
    """A log without a database, and a real token over its checkpoint of 3 entries."""
    log = offline.Log([offline.entry(number) for number in range(5)])
    log.stamps = {3: tsa.ask(log.checkpoint(3).encode()).reply}
    return log


def test_a_timestamp_over_something_else_or_half_of_one_is_found_offline(stamped_log, capsys, tmp_path):
    def answer():
        stamped_log.write(tmp_path / "log.zip")
        return offline.check(capsys, "bundle", tmp_path / "log.zip", "--key", stamped_log.key)

    assert answer()[0] == 0
    reply = stamped_log.stamps[3]
    stamped_log.changed = {"timestamps/3.note": stamped_log.checkpoint(2).encode()}
    assert "is over another checkpoint" in answer()[1]
    stamped_log.changed = {"timestamps/3.note": offline.Log(stamped_log.bodies[::-1]).checkpoint(3).encode()}
    assert answer()[0] == 1
    fork = offline.Log(stamped_log.bodies[::-1]).checkpoint(3).encode()
    stamped_log.changed, stamped_log.stamps = {"timestamps/3.note": fork}, {3: tsa.ask(fork).reply}
    assert "the first 3 entries are not those that the checkpoint of 3 signed" in answer()[1]
    stamped_log.changed, stamped_log.stamps = {}, {3: tsa.ask(b"something else").reply}
    assert "is over something else than the checkpoint beside it" in answer()[1]
    stamped_log.stamps = {3: reply[:100]}
    assert "not written as timestamps are" in answer()[1]


def test_no_flipped_bit_of_what_a_timestamp_is_over_is_passed_over(authority):
    """What its authority signed is OpenSSL's to check; here the digest, its name and the form around them."""
    note = b"a note"
    reply = tsa.ask(note).reply
    said = audit.verify.read_stamp(reply, note)
    passed = 0
    for place in range(0, len(reply) * 8, 3):
        altered = bytearray(reply)
        altered[place // 8] ^= 1 << place % 8
        try:
            passed += audit.verify.read_stamp(bytes(altered), note) == said
        except (audit.verify.Altered, audit.verify.CannotTell):
            continue
    digest = reply.index(hashlib.sha256(note).digest())
    for place in range(digest, digest + 32):
        altered = bytearray(reply)
        altered[place] ^= 1
        with pytest.raises(audit.verify.Altered):
            audit.verify.read_stamp(bytes(altered), note)
    assert passed > 0  # the signature's bits: nobody here says that they were checked
