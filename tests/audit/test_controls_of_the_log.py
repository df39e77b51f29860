"""CT-12, CT-13, CT-14, CT-20: a log that is whole, in order, as it was signed, not behind, and kept elsewhere."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from audit.canonical import canonical
from audit.controls.evaluate import Scope
from audit.controls.log import Seal
from tests.audit.ledgers import BEFORE, PASSED, changed, history, judged_bytes, place, reasons, sealed, signed

OTHER = "sha256:" + "f" * 64


def told(bodies, seals=None):
    """The reasons of the tests of the log, of each checkpoint."""
    report = judged_bytes(bodies, seals)
    return {key: [row["reason"] for row in report.of(key).rows] for key in ("CT-12", "CT-13")}


@pytest.fixture
def bodies():
    return list(sealed(history()))


def rewritten(body, **said):
    return canonical({**json.loads(body), **said})


def deleted(log):
    log[3] = None


def cut(log):
    del log[-1]


def altered(log):
    at = next(n for n, body in enumerate(log) if b"mara" in body)
    log[at] = log[at].replace(b"mara", b"lena")


def swapped(log):
    log[3], log[4] = log[4], log[3]


def times_swapped(log):
    late, early = (json.loads(log[at])["time"] for at in (-1, 3))
    log[3], log[-1] = rewritten(log[3], time=late), rewritten(log[-1], time=early)


def garbled(log):
    log[3] = log[3].replace(b'"v":1', b'"v":3')


def put_in(log):
    log.insert(3, log[3])


AFTER_SEALING = [
    ("an entry is deleted", deleted, "other_root", "gap"),
    ("the newest entry is deleted", cut, "other_root", "gap"),
    ("an entry is altered", altered, "other_root", "complete"),
    ("two entries are swapped", swapped, "other_root", "complete"),
    ("two times are swapped", times_swapped, "other_root", "clock"),
    ("an entry is garbled", garbled, "other_root", "unreadable"),
    ("an entry is put in", put_in, None, "version"),
]


@pytest.mark.parametrize(
    ("mutate", "root", "order"), [one[1:] for one in AFTER_SEALING], ids=[one[0] for one in AFTER_SEALING]
)
def test_what_is_done_to_a_sealed_log_shows(bodies, mutate, root, order):
    seal = signed(bodies)
    assert told(bodies, [seal]) == {"CT-12": ["as_signed"], "CT-13": ["complete"]}
    mutate(bodies)
    assert (len(bodies) > seal.size) == (root is None)
    seal = seal if root else Seal(seal.size + 1, seal.root, True)
    report = judged_bytes(bodies, [seal]) if len(bodies) >= seal.size else _cut_off(bodies, seal)
    assert [report.of(key).rows[0]["reason"] for key in ("CT-12", "CT-13")] == ["other_root", order]


def _cut_off(bodies, seal):
    """The end is missing: the size of the log is what was signed, not what is left."""
    from audit.controls import evaluate, facts
    from audit.controls.evaluate import Scope
    from tests.audit.ledgers import CHECKPOINT

    return evaluate.report(facts.fold(enumerate(bodies), [seal], seal.size), CHECKPOINT, Scope())


def test_each_checkpoint_is_judged_by_what_it_covers(bodies):
    seals = [signed(bodies[:5]), signed(bodies[:9]), signed(bodies)]
    assert told(bodies, seals) == {"CT-12": ["as_signed"] * 3, "CT-13": ["complete"] * 3}
    bodies[6] = None
    assert told(bodies, seals) == {
        "CT-12": ["as_signed", "other_root", "other_root"], "CT-13": ["complete", "gap", "complete"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "reason", "result"),
    [
        (False, "not_signed", "not_effective"),
        (None, "no_key", "not_effective"),
        (True, "as_signed", "effective"),
    ],
)
def test_a_signature_that_is_not_ours_fails_and_one_that_nobody_can_check_is_no_success(
    bodies, said, reason, result
):
    seal = signed(bodies)
    report = judged_bytes(bodies, [Seal(seal.size, seal.root, said)]).of("CT-12")
    assert (report.rows[0]["reason"], report.result) == (reason, result)


def test_an_entry_whose_texts_lie_beside_the_log_is_read_like_any_other(bodies):
    bodies[5] = rewritten(bodies[5], v=2, sd={"data.reason": "a" * 64, "data.id": "b" * 64})
    assert told(bodies) == {"CT-12": ["as_signed"], "CT-13": ["complete"]}


def test_a_version_that_is_missing_or_there_twice_shows():
    for wrong in (3, 1):
        log = list(sealed(history()))
        at = next(n for n, one in enumerate(log) if b'"type":"change.approved"' in one)
        log[at] = rewritten(log[at], stream_version=wrong)
        assert told(log)["CT-13"] == ["version"]


def test_a_clock_that_runs_back_a_little_is_a_transaction_and_one_that_runs_back_far_is_not():
    for seconds, reason in (("55", "complete"), ("01", "clock")):
        log = list(sealed([*history(), ("test.happened", "T-1", "s-t", {}, "2026-03-01T08:10:00.000000Z")]))
        late = f"2026-03-01T08:05:{seconds}.000000Z"
        log.append(rewritten(log[-1], time=late, stream="s-u", id="e-u"))
        if seconds == "01":
            log[-1] = rewritten(log[-1], time="2026-03-01T08:04:59.000000Z")
        assert told(log)["CT-13"] == [reason]


def permitted(**data):
    entries = history()
    changed("permit.issued", {}, **data)(entries)
    return entries


SEALED = "2026-03-01T08:00:30.000000Z"
STAMPED, LATER = "2026-03-01T09:00:00.000000Z", "2026-03-05T00:00:00.000000Z"


def stamp(size, at=SEALED, digest="sha256:t", time=STAMPED):
    told = {"size": size, "authority": "tsa.example", "at": at, "digest": digest}
    return ("checkpoint.timestamped", "ledger", f"s-stamp-{size}", told, time)


def beside(entries, *ends, **said):
    """The reasons of both tests, of checkpoints over so many entries of these; `said` is of all but the last."""
    bodies = list(sealed(entries))
    over = [replace(signed(bodies[:end]), **said) for end in ends]
    return told(bodies, [*over, replace(signed(bodies), at=said.get("at", ""))])


def happened(at):
    return ("test.happened", "T-1", "s-t", {}, at)


def whole(entries=None):
    return len(list(sealed(entries or history())))


@pytest.mark.parametrize(
    ("witnessed", "reasons"),
    [
        ((None, None), ["as_signed", "as_signed"]),
        ((True, True), ["as_signed", "as_signed"]),
        ((False, True), ["as_signed", "as_signed"]),
        ((True, False), ["as_signed", "not_witnessed"]),
        ((False, False), ["not_witnessed", "not_witnessed"]),
    ],
    ids=["no witness is asked", "both", "the later one", "the earlier one", "none"],
)
def test_what_a_later_checkpoint_covers_its_witnesses_have_seen(bodies, witnessed, reasons):
    seals = [
        replace(signed(some), witnessed=one)
        for some, one in zip((bodies[:9], bodies), witnessed, strict=True)
    ]
    assert told(bodies, seals)["CT-12"] == reasons


@pytest.mark.parametrize(
    ("kept", "reason"), [("sha256:t", "as_signed"), ("sha256:u", "other_stamp"), ("", "other_stamp"),
                         (None, "other_stamp")]
)  # fmt: skip
def test_a_timestamp_that_was_recorded_is_there_and_no_other(kept, reason):
    end = whole()
    assert beside([*history(), stamp(end)], end, stamp=kept)["CT-12"] == [reason, "as_signed"]


def test_once_the_log_was_stamped_each_checkpoint_is_shown_in_time():
    end, quiet = whole(), happened(LATER)
    once, twice = [*history(), stamp(end)], [*history(), stamp(end), stamp(end + 1, time=LATER)]
    assert beside([*once, quiet], end, end + 1, stamp="sha256:t")["CT-12"][:2] == ["as_signed", "not_stamped"]
    assert beside(once, end, stamp="sha256:t")["CT-12"] == ["as_signed", "as_signed"], "there is still time"
    soon = [*once, stamp(end + 1, time="2026-03-02T09:00:00.000000Z"), quiet]
    assert beside(soon, end, end + 1, stamp="sha256:t")["CT-12"][:2] == ["as_signed", "as_signed"]
    late = [*twice, quiet]
    assert beside(late, end, end + 1, stamp="sha256:t")["CT-12"][:2] == ["as_signed", "not_stamped"]
    assert beside([*history(), quiet], end)["CT-12"] == ["as_signed", "as_signed"], (
        "no authority was ever asked"
    )


def test_an_entry_of_a_time_that_had_not_come_shows():
    end, ahead = whole(), happened("2026-03-01T08:05:31.000000Z")
    entries = [*history(), ahead]
    assert beside(entries, end, at=SEALED)["CT-13"] == ["complete", "clock_ahead"]
    assert beside(entries, end, at="2026-03-01T08:00:31.000000Z")["CT-13"] == ["complete", "complete"]
    stamped = [*history(), stamp(end, at="2026-03-01T07:54:00.000000Z")]
    assert beside(stamped, end)["CT-13"] == ["clock_ahead", "complete"]


def test_an_entry_that_waited_for_its_signature_for_too_long_shows():
    for at, reason in (("2026-03-01T08:01:02", "complete"), ("2026-03-01T08:01:03", "sealed_late")):
        assert beside(history(), EARLY + 2, at=f"{at}.000000Z")["CT-13"] == ["complete", reason]


ALARM = "2026-03-01T08:{}.000000Z"


@pytest.mark.parametrize(
    ("told_at", "sealed_at", "found"),
    [
        (None, "2026-03-01T08:20:00", "no_alarm"),
        ("06:02", "2026-03-01T08:20:00", "alarm_answered"),
        ("06:03", "2026-03-01T08:20:00", "alarm_late"),
        ("02:00", "2026-03-01T12:00:03", "answered_late"),
        ("02:00", "2026-03-01T12:00:02", "alarm_answered"),
        ("20:01", "2026-03-01T08:20:00", "no_alarm"),
        ("02:00", "2026-03-01T08:01:02", None),
    ],
)
def test_a_log_that_stood_still_was_told_and_went_on(told_at, sealed_at, found):
    alarm = [("ledger.behind", "ledger", "s-alarm", {"pending": 3}, ALARM.format(told_at))] if told_at else []
    bodies = list(sealed([*history(), *alarm]))
    seals = [signed(bodies[: EARLY + 2]), replace(signed(bodies), at=f"{sealed_at}.000000Z")]
    rows = [row for row in judged_bytes(bodies, seals).of("CT-14").rows if row["kind"] == "standstill"]
    assert [row["reason"] for row in rows] == ([found] if found else [])


def probed(stopped=True, at=""):
    return ("gate.probed", "gate", f"s-probe-{at}", {"stopped": stopped, "seconds": 120}, at)


@pytest.mark.parametrize(
    ("probes", "found"),
    [
        ([], "never_probed"),
        ([probed()], "probed"),
        ([probed(at="2026-02-28T00:00:00.000000Z")], "probed"),
        ([probed(at="2026-02-27T23:59:59.000000Z")], "not_probed"),
        ([probed(at="2026-03-02T00:00:00.000000Z")], "never_probed"),
        ([probed(), probed(False)], "probe_failed"),
    ],
)
def test_whether_the_gate_stops_is_tried_each_day_on_which_something_starts(probes, found):
    entries = history()
    del entries[place(entries, "gate.probed")]
    early = [one for one in probes if one[4] and one[4] < "2026-03"]
    later = [one for one in probes if one not in early]
    report = judged_bytes(list(sealed([*early, *entries, *later])))
    assert [row["reason"] for row in report.of("CT-14").rows if row["kind"] == "day"] == [found]


def nothing(_):
    """It stays as it is."""


SIGNED = [
    ("as it should be", nothing, "manifest"),
    ("by an account that nobody knows", lambda log: _signed_by(log, "ghost"), "unknown_account"),
    ("in the name of somebody else", lambda log: _signed_by(log, "ines"), "other_name"),
    ("as somebody else in a demo", changed("sign_off.given", {"person": "noor"}, persona_switched=True), "other_name"),
    ("without a meaning", changed("sign_off.given", {"person": "noor"}, stage_name=""), "no_meaning"),
    ("by a token", nothing, "no_factors"),
]  # fmt: skip


def _signed_by(log, account):
    at = place(log, "sign_off.given", person="noor")
    log[at] = (*log[at], "", account)


@pytest.mark.parametrize(("mutate", "found"), [row[1:] for row in SIGNED], ids=[row[0] for row in SIGNED])
def test_each_approval_tells_what_a_signature_has_to_tell(mutate, found):
    entries = history()
    mutate(entries)
    bodies = list(sealed(entries))
    if found == "no_factors":
        by = b'{"auth":"session","id":"noor"'
        bodies = [body.replace(by, b'{"auth":"token","id":"noor"') for body in bodies]
    rows = judged_bytes(bodies).of("CT-20").rows
    assert [row["reason"] for row in rows if row["kind"] == "execution"] == [found]


EARLY = len(list(sealed([])))  # what was told months before


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (None, "log_current"),
        (EARLY + 1, "log_current"),
        (EARLY - 1, "log_behind"),
        (0, "log_behind"),
        (10**6, "log_ahead"),
    ],
)
def test_a_start_while_the_log_is_behind_fails(size, reason):
    assert reasons(permitted(checkpoint_size=size)) == {**PASSED, "CT-14": reason}


@pytest.mark.parametrize(("seconds", "reason"), [(60, "log_current"), (61, "log_behind")])
def test_a_minute_is_the_most_that_the_log_may_be_behind(seconds, reason):
    entries = permitted(checkpoint_size=EARLY + 2)  # the third entry was not in it
    at = place(entries, "permit.issued")
    entries[at] = (*entries[at], f"2026-03-01T08:01:{seconds - 60 + 2:02d}.000000Z")
    entries[at + 1 :] = [
        (*one, f"2026-03-01T08:02:{n:02d}.000000Z") for n, one in enumerate(entries[at + 1 :])
    ]
    assert reasons(entries) == {**PASSED, "CT-14": reason}


def test_twenty_thousand_entries_are_the_most_that_the_log_may_be_behind():
    """Whatever their age: the gate counts both."""
    from audit.controls.catalogue import control
    from audit.controls.log import RECENT

    assert control("CT-14").parameters["entries"] + 1 == RECENT


NOW = "2026-03-01T08:00:00.000000Z"


def written(first, size, at=NOW, lock="compliance", until="2027-06-01T00:00:00.000000Z", place="s3://vault"):
    data = {"place": place, "from": first, "size": size, "lock": lock, "days": 365, "until": until}
    return ("archive.written", "ledger", f"s-archive-{size}-{place}", data, at)


def checked(verdict="verified", at=NOW, place="s3://vault"):
    data = {"place": place, "size": 8, "verdict": verdict}
    return ("archive.checked", "ledger", f"s-checked-{at}", data, at)


OLD = "2025-11-01T00:00:00.000000Z"
ARCHIVES = [
    ("nothing was archived", [], "indeterminate", "not_archived"),
    ("all of it, restored", [written(0, 4), written(4, 8), checked()], "pass", "archived"),
    ("written twice", [written(0, 4), written(0, 8), checked()], "pass", "archived"),
    ("a piece is missing", [written(0, 4), written(5, 8), checked()], "fail", "archive_hole"),
    ("it does not begin at the beginning", [written(1, 8), checked()], "fail", "archive_hole"),
    ("nothing for too long", [written(0, 8, BEFORE), checked()], "fail", "archive_behind"),
    ("in a folder", [written(0, 8, lock="none", until=None), checked()], "indeterminate", "not_locked"),
    ("it can be deleted too early", [written(0, 8, until="2026-12-31T00:00:00.000000Z"), checked()],
     "fail", "short_lock"),
    ("it was never restored, and there is time", [written(0, 8)], "na", "restore_open"),
    ("it was never restored", [written(0, 4, OLD), written(4, 8)], "fail", "restore_overdue"),
    ("it was restored long ago", [written(0, 4, OLD), checked(at=OLD), written(4, 8)], "fail", "restore_overdue"),
    ("it was altered", [written(0, 8), checked(), checked("altered", "2026-03-01T08:00:01.000000Z")],
     "fail", "not_restored"),
    ("another place was restored", [written(0, 4, OLD), written(4, 8), checked(place="s3://other")],
     "fail", "restore_overdue"),
    ("the better one of two places counts", [written(0, 2, place="/mnt", lock="none", until=None), written(0, 8),
                                            checked()], "pass", "archived"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "result", "reason"), [one[1:] for one in ARCHIVES], ids=[one[0] for one in ARCHIVES]
)
def test_the_log_is_archived_whole_locked_and_was_restored(entries, result, reason):
    times = [entry[4] for entry in entries]
    entries = [one for _, one in sorted(zip(times, entries, strict=True), key=lambda pair: pair[0] != OLD)]
    row = judged_bytes(list(sealed(entries))).of("CT-20").rows[0]
    assert (row["result"], row["reason"]) == (result, reason)


def test_no_archive_is_asked_for_of_a_time_before_the_log(bodies):
    kept = {end: judged_bytes(bodies, scope=Scope(end=datetime(end, 1, 2, tzinfo=UTC))).of("CT-20").rows
            for end in (2020, 2027)}  # fmt: skip
    assert (len(kept[2020]), kept[2027][0]["reason"]) == (0, "not_archived")
