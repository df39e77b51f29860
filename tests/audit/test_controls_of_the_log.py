"""CT-12, CT-13, CT-14, CT-20: a log that is whole, in order, as it was signed, not behind, and kept elsewhere."""

import json

import pytest

from audit.canonical import canonical
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
