"""Bundles and lists leave the house: for readers only, recorded, not too often, and verified by the program inside."""

import io
import subprocess
import sys
import threading
import zipfile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

import audit.verify
from audit.canonical import parse
from audit.ledger import checkpoint, pack
from audit.ledger.entry import Actor
from audit.models import Entry
from audit.refusals import TooMany
from audit.reports import bundle
from tests.accounts.cast import bearer, issue, person
from tests.audit.log import as_insider, sequence, stream, write

pytestmark = [
    pytest.mark.django_db(transaction=True),  # what was taken is recorded, a refusal too
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.usefixtures("own_key"),
]
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def auditor(auditor, client):
    """The same, signed in."""
    client.force_login(auditor, backend=BACKEND)
    return auditor


@pytest.fixture
def log(auditor):
    stream(3)
    write(150, kind="change.approved")
    sequence()
    write(150, kind="attempt.refused", code="not_allowed")
    sequence()


def taken():
    return [parse(bytes(one.body)) for one in Entry.objects.filter(kind="bundle.created")]


def verified(data, folder, *more):
    """What the program inside the bundle says about it, on a machine with Python and nothing else."""
    (folder / "log.zip").write_bytes(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for name in ("trust.json", "countersign-verify.py"):
            (folder / name).write_bytes(archive.read(name))
    done = subprocess.run(
        [sys.executable, "-I", "countersign-verify.py", "bundle", "log.zip", "--trust", "trust.json", *more],
        cwd=folder, capture_output=True, check=False, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_reader_takes_the_log_home_and_verifies_it_there(client, log, auditor, tmp_path):
    answer = client.post("/audit/bundle/")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    data = b"".join(answer.streaming_content)
    code, said = verified(data, tmp_path, "--state", "seen.json")
    assert code == 0, said
    [entry] = taken()
    assert entry["actor"]["id"] == str(auditor.pk)
    assert entry["data"]["first"] == 0
    assert f"{entry['data']['end']} entries of a log of {entry['data']['size']}, 2 checkpoints" in said


def test_a_machine_with_the_scope_takes_it_too_and_others_do_not(client, log, auditor, tmp_path):
    client.logout()
    may, may_not = issue(auditor, "audit:read"), issue(auditor, "changes:read")
    answer = client.post("/api/v1/audit/bundle", **bearer(may))
    assert answer.status_code == 200
    assert verified(b"".join(answer.streaming_content), tmp_path)[0] == 0
    assert client.post("/api/v1/audit/bundle", **bearer(may_not)).status_code == 403
    assert client.post("/api/v1/audit/bundle").status_code == 401
    assert len(taken()) == 1


@pytest.mark.parametrize("path", ["/audit/bundle/", "/api/v1/audit/bundle"])
def test_nobody_takes_the_log_without_the_right_to_read_it(client, log, path):
    client.force_login(person("Mallory"), backend=BACKEND)
    assert client.post(path).status_code == 403
    assert client.get("/audit/trust.json").status_code == 403
    assert taken() == []
    refused = [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind="attempt.refused")]
    assert len([one for one in refused if "bundle" in one.get("attempted", "")]) == 1


def test_a_get_takes_nothing(client, log):
    assert client.get("/audit/bundle/").status_code == 405
    assert client.get("/api/v1/audit/bundle").status_code == 405
    assert taken() == []


def test_an_account_takes_six_an_hour_and_then_waits(client, log, monkeypatch):
    monkeypatch.setattr(bundle, "MOST_AN_HOUR", 2)
    for _ in range(2):
        assert b"".join(client.post("/audit/bundle/").streaming_content)
    answer = client.post("/audit/bundle/")
    assert (answer.status_code, answer["Retry-After"]) == (429, "600")
    assert len(taken()) == 2


def test_two_are_not_made_at_once(log):
    """Another session holds the place, as a second request would."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [bundle.ONE_AT_A_TIME])
            held.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        with pytest.raises(TooMany, match="another is being made"):
            bundle.take({}, by=Actor(id="somebody", kind="person", auth="session"))
    finally:
        done.set()
        thread.join()
    assert taken() == []


def test_a_period_holds_its_entries_and_the_whole_tree(client, log, tmp_path):
    middle = Entry.objects.filter(kind="attempt.refused").order_by("id")[0].occurred_at
    before, after = ({"to": middle.isoformat()}, {"from": middle.isoformat()})
    sizes = []
    for asked in (before, after):
        code, said = verified(b"".join(client.post("/audit/bundle/", asked).streaming_content), tmp_path)
        assert code == 0, said
        assert "that the bundle leaves out" in said
        sizes.append(taken()[-1]["data"]["end"] - taken()[-1]["data"]["first"])
    assert sum(sizes) == taken()[-1]["data"]["size"]


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "yesterday"},
        {"to": "2001-01-01"},
        {"from": "2030-01-01"},
        {"from": "2026-13-01"},
        {"from": "2026-02-01", "to": "2026-01-01"},
    ],
)
def test_a_period_that_is_none_or_holds_nothing_is_refused(client, log, asked):
    answer = client.post("/audit/bundle/", asked)
    assert answer.status_code == 422
    assert b"No bundle was made" in answer.content
    assert taken() == []


def test_nothing_is_bundled_before_anything_is_signed(client, auditor):
    assert client.post("/audit/bundle/").status_code == 404


def test_a_bundle_from_an_altered_database_is_altered(client, log, tmp_path):
    as_insider("UPDATE audit_entry SET body = replace(convert_from(body, 'UTF8'), 'not_allowed', 'allowed')::bytea"
               " WHERE kind = 'attempt.refused'")  # fmt: skip
    code, said = verified(b"".join(client.post("/audit/bundle/").streaming_content), tmp_path)
    assert (code, "is not the one that was sealed there" in said) == (1, True)


def test_the_commands_write_a_bundle_and_a_list_that_fits_it(log, tmp_path, capsys):
    out = io.StringIO()
    call_command("ledger", "bundle", str(tmp_path / "log.zip"), stdout=out)
    call_command("ledger", "population", str(tmp_path / "list"), query="kind:attempt.refused", stdout=out)
    assert "150 entries listed" in out.getvalue()
    call = ["population", tmp_path / "list" / "manifest.json", "--bundle", tmp_path / "log.zip"]
    key = str(checkpoint.verifier())
    capsys.readouterr()
    assert audit.verify.main([*map(str, call), "--key", key]) == 0
    assert "each of the 150 rows" in capsys.readouterr().out
    [entry] = taken()
    assert entry["actor"]["id"] == "system:terminal"
    assert Entry.objects.filter(kind="population.created").count() == 1
    with pytest.raises(CommandError, match="No bundle was written"):
        call_command("ledger", "bundle", str(tmp_path / "other.zip"), period="2030-01-01..")
    assert not (tmp_path / "other.zip").exists()


def test_a_bundle_is_written_in_pieces(log, monkeypatch):
    """However long the log is, no more of it is held than a piece."""
    longest = 0

    def measured(file, members):
        nonlocal longest
        for _, pieces in members:
            for piece in pieces:
                longest = max(longest, len(piece))

    monkeypatch.setattr(pack, "write", measured)
    made = bundle.take({}, by=Actor(id="somebody", kind="person", auth="session"))
    assert list(made.pieces()) == []
    assert 0 < longest < 100_000
