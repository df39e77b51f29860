"""What a plan step leaves is taken as plain bytes within limits; what an apply step finds is what it was given."""

import os
import stat

import pytest

from orchestration.actions import registry
from orchestration.engine import folders
from tests.orchestration.probe import Probe
from tests.orchestration.test_supervise import Watched, sh


def plan(script, **changed):
    return sh(script, phase="plan", **changed).run()


def test_what_a_plan_step_leaves_comes_back_as_bytes():
    outcome = plan('printf "a\\0b" > "$STEP_ARTIFACTS/tf.plan"; echo x > "$STEP_ARTIFACTS/summary.json"')
    assert outcome.state == "succeeded"
    assert outcome.artifacts == {"tf.plan": b"a\0b", "summary.json": b"x\n"}


def test_an_apply_step_has_no_folder_to_leave_anything_in():
    outcome = sh('test -z "${STEP_ARTIFACTS-}" && test "$STEP_PHASE" = apply').run()
    assert (outcome.state, outcome.artifacts) == ("succeeded", {})


def test_an_apply_step_finds_each_file_below_the_step_that_left_it_and_cannot_write_it():
    given = {"look": {"next": b"1\n"}, "count": {"next": b"2\n"}}
    step = sh(
        'cat "$STEP_PLANS/look/next" "$STEP_PLANS/count/next"; stat -c %a "$STEP_PLANS/look/next"',
        plans=given,
    )
    assert step.run().state == "succeeded"
    assert step.text == "1\n2\n400\n"


def test_nothing_of_it_is_left_on_the_machine():
    step = sh('echo "$STEP_PLANS"', plans={"look": {"next": b"1\n"}})
    step.run()
    assert not os.path.exists(step.text.strip())  # noqa: PTH110 - a path that a step printed


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("true", "no file"),
        ('ln -s /etc/passwd "$STEP_ARTIFACTS/passwd"', "no plain file"),
        ('echo x > note; ln note "$STEP_ARTIFACTS/note"', "no plain file"),
        ('mkdir "$STEP_ARTIFACTS/deep"', "no plain file"),
        ('mkfifo "$STEP_ARTIFACTS/pipe"', "no plain file"),
        ('cp -a /dev/zero "$STEP_ARTIFACTS/device" || mkfifo "$STEP_ARTIFACTS/device"', "no plain file"),
        ('echo x > "$STEP_ARTIFACTS/..x"', "named '..x'"),
        ('printf x > "$STEP_ARTIFACTS/$(printf "a\\nb")"', "named 'a\\nb'"),
        ('rmdir "$STEP_ARTIFACTS"; ln -s /etc "$STEP_ARTIFACTS"', "took its folder"),
        ('rmdir "$STEP_ARTIFACTS"', "took its folder"),
        ('echo x > "$STEP_ARTIFACTS/a b"', "named 'a b'"),
        ('echo x > "$STEP_ARTIFACTS/.hidden"', "named '.hidden'"),
        ('for n in $(seq 21); do echo x > "$STEP_ARTIFACTS/f$n"; done', "at most 20"),
        (
            'head -c 6000000 /dev/zero > "$STEP_ARTIFACTS/a"; cp "$STEP_ARTIFACTS/a" "$STEP_ARTIFACTS/b"',
            "10000000 bytes",
        ),
    ],
)
def test_x08_what_cannot_be_kept_fails_the_step_in_words(script, words):
    outcome = plan(script)
    assert (outcome.state, outcome.artifacts) == ("failed", {})
    assert words in outcome.reason


def test_what_a_failed_plan_step_left_is_not_kept():
    assert plan('echo x > "$STEP_ARTIFACTS/a"; exit 1').artifacts == {}


def test_twenty_files_of_ten_megabytes_together_are_kept():
    script = 'for n in $(seq 20); do head -c 500000 /dev/zero > "$STEP_ARTIFACTS/f$n"; done'
    outcome = plan(script)
    assert sum(map(len, outcome.artifacts.values())) == folders.MAX_BYTES


def test_an_action_of_ones_own_is_told_the_phase_and_the_folders(monkeypatch):
    monkeypatch.setattr(registry, "known", lambda: {"probe": Probe()})
    looked = Watched({"leaves": "x"}, uses="probe", phase="plan").run()
    assert (looked.artifacts, looked.outputs["phase"]) == ({"found": b"x"}, "plan")
    applied = Watched({"reads": "look/found"}, uses="probe", plans={"look": {"found": b"x"}}).run()
    assert (applied.outputs["read"], applied.outputs["phase"]) == ("x", "apply")


def test_an_action_that_leaves_something_outside_of_a_plan_fails(monkeypatch):
    monkeypatch.setattr(registry, "known", lambda: {"probe": Probe()})
    outcome = Watched({"leaves": "x"}, uses="probe").run()
    assert outcome.state == "failed"
    assert "Not a directory" in outcome.reason
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116 - and the device is what it was
