"""The archive: all that is signed, written once, kept, restored, verified without us and held against the log."""

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest
from botocore.exceptions import ClientError
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as some

from audit import tasks
from audit.alone import alone
from audit.archive import layout, places, writing
from audit.archive.places import NoAnswer, NotKept
from audit.canonical import parse
from audit.ledger import checkpoint
from audit.ledger.tiles import tiles_of
from audit.models import Entry
from audit.refusals import Invalid, NotFound, TooMany
from tests.audit.log import as_insider, newest, sequence, stream, write
from tests.orchestration.test_claim import together
from tests.s3 import bucket, serving
from tests.stack import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
_buckets = count()


@pytest.fixture(scope="module")
def s3():
    with serving() as client:
        yield client


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    settings.KEY_DIR = tmp_path / "keys"


@pytest.fixture
def locked(s3):
    """A bucket whose objects can be locked."""
    name = f"archive-{next(_buckets)}"
    bucket(s3, name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('locked')}/log"
    return str(tmp_path / "archive")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


def archived(place):
    """Everything that is written now, signed and archived."""
    sequence()
    return writing.archive(str(place), by=writing.KEEPER)


def log(*numbers, place):
    """A log that was archived after each of so many entries."""
    for number in numbers:
        write(number)
        archived(place)


def told(kind):
    return [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind=kind).order_by("id")]


def command(*arguments, **options):
    """What `manage.py ledger` answers, and says."""
    out = io.StringIO()
    try:
        call_command("ledger", *map(str, arguments), stdout=out, **options)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def alone_verified(folder):
    """What the program in the archive says of it, on a machine with Python and nothing else."""
    program = max((folder / "archive").glob("countersign-verify-*.py"))
    key = ["--key", str(checkpoint.verifier())]
    done = subprocess.run(
        [sys.executable, "-I", program, "archive", folder, *key], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


# --- what is written ------------------------------------------------------------------------------------------


def test_each_night_adds_what_is_new_and_the_whole_is_verified_without_us(place, tmp_path):
    stream(3)
    log(250, 300, 5, place=place)
    entries = told("archive.written")
    assert [one["from"] for one in entries] == [0, *(one["size"] for one in entries[:-1])]
    assert entries[-1]["size"] == newest().size
    assert entries[-1]["files"] == 2 + 1 + 1  # the growing tile and its entries, the tile above, the program
    code, said = command("restore-check", place, into=tmp_path / "copy")
    assert code == 0, said
    assert "The live log begins with it" in said
    code, said = alone_verified(tmp_path / "copy" if place.startswith("s3:") else tmp_path / "archive")
    assert code == 0, said
    assert f"{newest().size} entries in" in said
    assert archived(place).begin == entries[-1]["size"]


@given(some.lists(some.integers(1, 200_000), min_size=1, max_size=6, unique=True))
def test_whatever_the_nights_added_no_file_of_the_log_is_missing(sizes):
    held = {file.name for old, new in pairwise([0, *sorted(sizes)]) for file in layout.between(old, new)}
    for level, index, width in tiles_of(max(sizes)):
        assert layout.File(level, index, width).name in held
        assert level or layout.File(None, index, width).name in held


def test_where_nothing_is_new_nothing_is_written(folder):
    sequence()
    with pytest.raises(NotFound, match="no checkpoint is signed"):
        writing.archive(str(folder), by=writing.KEEPER)
    log(3, place=folder)
    write(1)
    assert writing.archive(str(folder), by=writing.KEEPER) is None
    assert not (folder / layout.manifest_name(5)).exists()


def test_what_was_cut_short_is_gone_on_with(place, monkeypatch):
    write(600)
    kind, calls = places.Bucket if place.startswith("s3:") else places.Folder, count(1)
    real = kind.put

    def fails_at_the_fourth(self, name, data):
        if next(calls) == 4:
            raise NotKept("no room")
        return real(self, name, data)

    monkeypatch.setattr(kind, "put", fails_at_the_fourth)
    with pytest.raises(NotKept):
        archived(place)
    assert told("archive.written") == []
    write(1)
    assert archived(place).begin == 0
    assert command("restore-check", place)[0] == 0


def test_an_entry_that_is_not_what_was_sealed_is_not_archived(folder):
    write(5)
    sequence()
    as_insider("UPDATE audit_entry SET body = replace(convert_from(body, 'UTF8'), 'happened', 'occurred')::bytea"
               " WHERE id = (SELECT entry_id FROM audit_leaf WHERE index = 3)")  # fmt: skip
    with pytest.raises(Invalid, match="of the entries 0 to 4 one is missing or was altered"):
        writing.archive(str(folder), by=writing.KEEPER)
    assert not (folder / "archive").exists()


def test_a_log_that_was_exchanged_or_taken_back_is_not_archived_over_the_old_one(folder):
    log(300, place=folder)
    as_insider(
        "TRUNCATE audit_entry, audit_leaf, audit_tile, audit_checkpoint, audit_head, audit_pending CASCADE"
    )
    write(20)
    with pytest.raises(Invalid, match="the archive holds 300 entries and this log has 20"):
        archived(folder)
    write(300)
    with pytest.raises(NotKept, match=r"holds another tile/0/000: it is of another log"):
        archived(folder)


def test_it_happens_once_a_day_where_an_archive_is_set(settings, folder):
    write(3)
    sequence()
    tasks.keep()
    assert told("archive.written") == []
    settings.ARCHIVE = str(folder)
    tasks.keep()
    sequence()
    tasks.keep()
    assert len(told("archive.written")) == 1
    as_insider(
        "UPDATE audit_entry SET occurred_at = now() - interval '24 hours' WHERE kind = 'archive.written'"
    )
    tasks.keep()
    assert [one["from"] for one in told("archive.written")] == [0, 3]
    settings.ARCHIVE = "/proc/nowhere"
    tasks.keep()  # is logged, and tried again


def test_two_at_once_are_one(folder):
    write(1)
    sequence()
    with alone(writing.LOCK) as first:
        assert first
        [answer] = together(lambda: writing.archive(str(folder), by=writing.KEEPER))
    assert isinstance(answer, TooMany)
    assert told("archive.written") == []


# --- for how long ---------------------------------------------------------------------------------------------


def test_nobody_deletes_what_is_locked_and_what_is_laid_over_it_changes_nothing(s3, locked, tmp_path):
    log(5, place=f"s3://{locked}")
    [entry] = told("archive.written")
    assert entry["until"][:4] == str((datetime.now(UTC) + timedelta(days=2557)).year)
    name = "tile/entries/000.p/5"
    version = s3.get_object(Bucket=locked, Key=name)["VersionId"]
    with pytest.raises(ClientError, match="Access Denied"):
        s3.delete_object(Bucket=locked, Key=name, VersionId=version, BypassGovernanceRetention=True)
    s3.put_object(Bucket=locked, Key=name, Body=b"forged")
    s3.delete_object(Bucket=locked, Key="tile/0/000.p/5")
    code, said = command("restore-check", f"s3://{locked}")
    assert code == 0, said


def test_a_bucket_that_locks_nothing_is_refused(s3):
    bucket(s3, "without-lock")
    write(1)
    with pytest.raises(NotKept, match=r"does not take tile/0/000.p/1 and lock it"):
        archived("s3://without-lock")
    assert told("archive.written") == []


def test_a_lock_that_is_shorter_than_demanded_is_found(s3, locked, settings):
    log(5, place=f"s3://{locked}/log")
    settings.ARCHIVE_DAYS = 3650
    code, said = command("restore-check", f"s3://{locked}/log")
    assert code == 1
    assert "3650 days are demanded" in said
    assert told("archive.checked")[0]["verdict"] == "not_kept"
    settings.ARCHIVE_DAYS = 2557
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=30)}
    s3.put_object_retention(Bucket=locked, Key="log/tile/0/000.p/5", Retention=sooner)  # this server lets us
    code, said = command("restore-check", f"s3://{locked}/log")
    assert code == 1
    assert "keeps tile/0/000.p/5 until" in said


def test_a_lock_that_only_an_ordinary_admin_could_lift_is_none(s3, locked, settings):
    """Governance mode can be bypassed with a permission."""
    log(5, place=f"s3://{locked}")
    until = datetime.now(UTC) + timedelta(days=9999)
    data = s3.get_object(Bucket=locked, Key="tile/0/000.p/5")["Body"].read()
    s3.put_object(
        Bucket=locked,
        Key="other/tile/0/000.p/5",
        Body=data,
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
    )
    there = places.place(f"s3://{locked}/other", days=30)
    with pytest.raises(NotKept, match="in compliance mode"):
        there.put("tile/0/000.p/5", data)
    with pytest.raises(NotKept, match="in compliance mode"):
        there.get("tile/0/000.p/5")


def test_the_days_do_not_get_fewer(folder, settings):
    log(5, place=folder)
    settings.ARCHIVE_DAYS = 30
    with pytest.raises(Invalid, match="kept for 2557 days, and COUNTERSIGN_ARCHIVE_DAYS says 30"):
        archived(folder)


# --- tried out ------------------------------------------------------------------------------------------------


def turned(path):
    """One bit of the file is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_file_that_was_changed_or_is_gone_is_found_whichever_it_is(folder):
    log(260, 3, place=folder)
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert (
        len(files) == 3 + 3 + 1 + 2 + 1
    )  # entries and hashes: 256, 4 and 8; the tile above; manifests; the program
    for one in files:
        before = one.read_bytes()
        turned(one)
        assert command("restore-check", folder)[0] == 1, one
        one.unlink()
        assert command("restore-check", folder)[0] == 1, one
        one.write_bytes(before)
    assert command("restore-check", folder)[0] == 0
    assert {one["verdict"] for one in told("archive.checked")} == {"altered", "verified"}


def test_an_archive_without_its_newest_night_is_found_by_the_log(folder):
    log(5, 5, place=folder)
    max((folder / "archive").glob("*.json")).unlink()
    code, said = command("restore-check", folder)
    assert (code, "The archive ends at 5 entries, and 11 were archived there" in said) == (1, True)


def test_a_log_that_is_not_the_archived_one_any_more_is_found_by_the_archive(folder):
    log(300, place=folder)
    as_insider("DELETE FROM audit_entry WHERE kind = 'archive.written'")
    code, said = command("restore-check", folder)
    assert (code, "No entry of the live log tells of this archive" in said) == (1, True)
    as_insider(
        "TRUNCATE audit_entry, audit_leaf, audit_tile, audit_checkpoint, audit_head, audit_pending CASCADE"
    )
    write(20)
    sequence()
    code, said = command("restore-check", folder)
    assert (code, "The live log has 20 entries and its archive 300" in said) == (1, True)
    write(300)
    sequence()
    code, said = command("restore-check", folder)
    assert (code, "The live log is not the one that was archived" in said) == (1, True)


def test_what_does_not_answer_or_is_nothing_cannot_be_told(folder, monkeypatch, tmp_path):
    write(1)
    sequence()
    assert command("restore-check", tmp_path / "nothing")[0] == 2
    for name, value in {
        "ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "ACCESS_KEY_ID": "k",
        "SECRET_ACCESS_KEY": "s",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(places, "TRIES", 1)
    assert command("restore-check", "s3://far-away")[0] == 2
    assert {one["verdict"] for one in told("archive.checked")} == {"cannot_tell"}
    with pytest.raises(NoAnswer):
        archived("s3://far-away")
    with pytest.raises(CommandError, match="name a place"):
        command("archive")


def test_without_the_database_the_archive_is_verified_all_the_same(folder, settings):
    log(5, place=folder)
    environment = {
        "PATH": "/usr/bin", "COUNTERSIGN_KEY_DIR": str(settings.KEY_DIR), "COUNTERSIGN_SECRET_KEY": "k" * 50,
        "COUNTERSIGN_DATABASE_URL": "postgres://nobody@127.0.0.1:9/nothing",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "manage.py", "ledger", "restore-check", folder],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Not compared with the live log" in done.stdout) == (2, True), done.stderr
    assert "5 entries in" in done.stdout
