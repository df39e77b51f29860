"""Where logs are kept and for how long: moved to a storage, read from it, removed when their time is over."""

from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models.functions import Now

from audit.alone import alone
from audit.canonical import parse
from audit.models import Entry
from config import doctor
from config.storage import log_storage
from orchestration.logs import bodies, keeping, reading, searching, verify
from orchestration.logs.bodies import LogUnavailable
from orchestration.models import LogChunk, StepAttempt
from tests.audit.log import as_insider
from tests.orchestration.deeds import holding
from tests.orchestration.printing import out, printed, printing
from tests.orchestration.test_claim import together
from tests.orchestration.world import step
from tests.s3 import bucket, serving

LINES = out(*[b"".join(b"line %06d\n" % n for n in range(k, k + 5000)) for k in range(0, 300_000, 5000)])
BUCKET = "logs-of-steps"


def use(settings, place):
    """The storage of logs that the setting names."""
    storages_of = {**settings.STORAGES, "logs": log_storage(place)}
    settings.STORAGES = storages_of


@pytest.fixture(scope="module")
def s3():
    with serving() as client:
        bucket(client, BUCKET)
        yield client


@pytest.fixture(params=["folder", "s3"])
def place(request, settings, tmp_path):
    """Both kinds of storage, one after the other."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        use(settings, f"s3://{BUCKET}/somewhere/logs")
    else:
        use(settings, str(tmp_path / "logs"))
    return request.param


def files(folder):
    return [one for one in folder.rglob("*") if one.is_file()]


def settled():
    """The logs of all attempts that have ended are due to be moved."""
    StepAttempt.objects.exclude(ended_at=None).update(ended_at=Now() - timedelta(minutes=1))


def moved():
    settled()
    return keeping.keep()["logs_moved"]


@pytest.fixture
def folder(settings, tmp_path):
    use(settings, str(tmp_path / "logs"))
    return tmp_path / "logs"


def test_a_log_that_moved_reads_searches_and_verifies_as_before(world, place):
    one = printed(world, LINES[:30], LINES[30:])
    before = b"".join(reading.text(one)), reading.window(one, 123_456, 40), searching.search(one, "99999")
    assert moved() == 2
    assert not LogChunk.objects.exclude(data=None).exists()
    assert (
        b"".join(reading.text(one)),
        reading.window(one, 123_456, 40),
        searching.search(one, "99999"),
    ) == before
    assert list(verify.faults()) == []
    assert moved() == 0


def test_a_window_of_a_log_that_moved_fetches_no_more_than_two_objects(world, folder, monkeypatch):
    one = printed(world, LINES)
    moved()
    assert len(files(folder)) >= 3
    read: list[int] = []
    real = bodies.read_part

    def counted(attempt_id, part):
        read.append(part)
        return real(attempt_id, part)

    monkeypatch.setattr(bodies, "read_part", counted)
    assert reading.window(one, 250_000, 500)["results"][0]["text"] == "line 249999"
    assert len(read) <= 2


def test_the_log_of_a_step_that_runs_stays_where_it_is_written(world, folder):
    printing(holding(world.run(step("a")).steps.get()), out(b"under way\n"))
    assert moved() == 0
    assert not folder.exists()


def test_a_move_that_was_cut_short_is_gone_on_with_and_loses_nothing(world, folder, monkeypatch):
    one = printed(world, LINES)
    text = b"".join(reading.text(one))
    real, calls = keeping._put, []

    def fails_at_the_second(*given):
        calls.append(given)
        if len(calls) == 2:
            raise OSError("no room")
        real(*given)

    monkeypatch.setattr(keeping, "_put", fails_at_the_second)
    assert moved() == 0
    assert 0 < LogChunk.objects.filter(data=None).count() < LogChunk.objects.count()
    assert b"".join(reading.text(one)) == text
    assert moved() == 1
    assert b"".join(reading.text(one)) == text
    assert list(verify.faults()) == []


def test_a_storage_that_keeps_something_else_is_not_trusted_with_the_only_copy(world, folder, monkeypatch):
    one = printed(world, out(b"precious\n"))
    keeps = storages["logs"].save
    monkeypatch.setattr(storages["logs"], "save", lambda name, _: keeps(name, ContentFile(b"nothing")))
    assert moved() == 0
    assert b"".join(reading.text(one)) == b"precious\n"


def test_a_body_that_was_changed_in_the_storage_is_not_shown_and_is_found(world, folder):
    one = printed(world, out(b"paid 100\n"))
    moved()
    file = files(folder)[0]
    file.write_bytes(file.read_bytes().replace(b"100", b"999"))
    with pytest.raises(LogUnavailable, match="Piece 1 of this log is not as it was stored"):
        reading.window(one, 1)
    assert "could not be examined" in next(verify.faults())


def test_without_the_storage_the_page_says_so_and_nothing_else_breaks(world, client, folder):
    one = printed(world, out(b"far away\n"))
    moved()
    folder.rename(folder.with_name("gone"))
    client.force_login(world.requester)
    page = client.get(f"/runs/{one.run.key}/?step=a")
    assert page.status_code == 200
    assert "The log cannot be shown." in page.content.decode()
    answer = client.get(f"/runs/{one.run.key}/steps/a/log/")
    assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
    assert client.get(f"/api/v1/runs/{one.run.key}/steps/a/log?first=1").json()["status"] == 503
    assert client.get(f"/runs/{one.run.key}/steps/a/log.txt").status_code == 503
    assert client.get(f"/api/v1/runs/{one.run.key}/").json()["state"] == "succeeded"


def test_an_object_storage_that_is_down_costs_seconds_and_no_log(world, settings, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    use(settings, f"s3://{BUCKET}")
    one = printed(world, out(b"still here\n"))
    assert moved() == 0
    assert b"".join(reading.text(one)) == b"still here\n"
    assert ("logs", "ill") in {(one.part, one.verdict) for one in doctor.examine()}


# --- for how long ---------------------------------------------------------------------------------------------


def aged(run, days):
    """A run that ended so many days ago. It is governed, so only an insider turns back its clock."""
    sql = f"UPDATE orchestration_run SET ended_at = now() - interval '{days} days' WHERE id = '{run.pk}'"  # noqa: S608
    as_insider(sql)


@pytest.fixture
def ninety(settings):
    settings.LOG_DAYS = 90


@pytest.mark.usefixtures("ninety")
def test_a_log_whose_time_is_over_is_removed_and_what_it_was_stays_told(world, client):
    one = printed(world, out(b"one\n", b"two\n"), out(b"three\n"))
    roots = list(StepAttempt.objects.order_by("number").values_list("log_root", flat=True))
    aged(one.run, 91)
    assert keeping.keep()["logs_removed"] == 1
    assert not LogChunk.objects.exists()
    entry = Entry.objects.get(kind="log.removed")
    assert (entry.subject, entry.actor) == (one.run.key, "system:reconciler")
    assert parse(bytes(entry.body))["data"] == {
        "run": one.run.key,
        "days": 90,
        "logs": [
            {"step": "a", "attempt": 1, "root": roots[0], "chunks": 2},
            {"step": "a", "attempt": 2, "root": roots[1], "chunks": 1},
        ],
    }
    assert list(verify.faults()) == []
    client.force_login(world.requester)
    page = client.get(f"/runs/{one.run.key}/?step=a").content.decode()
    assert "The log was removed on" in page
    assert roots[1] in page
    assert client.get(f"/runs/{one.run.key}/steps/a/log.txt").status_code == 410
    assert keeping.keep()["logs_removed"] == 0


@pytest.mark.usefixtures("ninety")
def test_a_log_that_is_younger_or_of_a_run_under_way_stays(world):
    young = printed(world, out(b"young\n"))
    aged(young.run, 89)
    printing(holding(world.run(step("a")).steps.get()), out(b"under way\n"))
    as_insider("UPDATE orchestration_run SET started_at = now() - interval '400 days'")
    assert keeping.keep()["logs_removed"] == 0
    assert LogChunk.objects.count() == 2


def test_without_a_number_of_days_logs_are_kept(world, settings):
    assert settings.LOG_DAYS == 0
    aged(printed(world, out(b"old\n")).run, 36_000)
    assert keeping.keep()["logs_removed"] == 0


@pytest.mark.usefixtures("ninety")
def test_a_log_in_a_storage_is_removed_there_too(world, folder):
    one = printed(world, out(b"far away\n"))
    moved()
    aged(one.run, 91)
    assert keeping.keep()["logs_removed"] == 1
    assert list(folder.rglob("*")) == []


@pytest.mark.usefixtures("ninety")
def test_a_log_that_went_without_an_entry_is_found(world):
    one = printed(world, out(b"inconvenient\n"))
    LogChunk.objects.all().delete()
    StepAttempt.objects.update(log_removed_at=Now())
    assert list(verify.faults()) == [
        f"The log of {one.run.key}/a, attempt 1, was taken away, and no entry tells why."
    ]


def test_two_keepers_at_once_are_one(world, settings, tmp_path):
    with alone(keeping.LOCK) as first:
        assert first
        assert together(keeping.keep) == [{}]
