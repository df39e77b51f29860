"""Steps in a box of bubblewrap: they see what is theirs, change nothing else, and end as a whole."""

import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from config import doctor
from orchestration.definitions import limits
from orchestration.engine import apart, boxed
from orchestration.engine.nodes import Node
from tests.abuse.attack import Case, printed, work
from tests.orchestration.test_bounds import SYSTEM_PYTHON, bounded
from tests.orchestration.test_secrets import VALUE, reading, stored
from tests.orchestration.test_supervise import STUBBORN, Watched, sh

LOOK = """
for what in {places}; do
    if [ -n "$(find "$what" ! -type d -size +0 2>/dev/null | head -1)" ]; then echo "READ $what"; fi
done
for where in /etc /usr /opt {product} /dev /run /home; do
    touch $where/countersign-was-here 2>/dev/null && echo "WROTE $where"
done
kill -0 {worker} 2>/dev/null && echo "MAY SIGNAL THE WORKER"
grep -q "CapEff:.*[1-9a-f]" /proc/self/status && echo "HAS CAPABILITIES"
for one in "$TMPDIR" /tmp /dev/shm .; do echo x > $one/mine || echo "CANNOT WRITE $one"; done
cat /proc/[0-9]*/comm
"""


@pytest.fixture
def box(settings):
    settings.STEP_PROFILE = "bubblewrap"
    yield from ready()


@pytest.fixture(params=["as the worker", "as a user of its own"])
def boxes(request, settings, monkeypatch):
    settings.STEP_PROFILE = "bubblewrap"
    if request.param != "as the worker":
        if os.geteuid() != 0:
            pytest.skip("NOT TESTED HERE: only root can become another user")
        request.getfixturevalue("users_of_steps")
        settings.STEP_UIDS, settings.BASE_DIR = (61_500, 61_503), "/usr"
        found = SimpleNamespace(prefix="/usr", base_prefix="/usr", executable=SYSTEM_PYTHON)
        monkeypatch.setattr(boxed, "sys", found)  # that of the tests may lie where only root can read
    yield from ready()


def ready():
    boxed._probe.cache_clear()
    apart.uids.cache_clear()
    if problem := boxed.problem():
        pytest.skip(f"NOT TESTED HERE: {problem}")
    yield
    boxed._probe.cache_clear()
    apart.uids.cache_clear()


def look(*places):
    script = LOOK.format(places=" ".join(map(str, places)), worker=os.getpid(), product=Path.cwd())
    return sh(script)


def test_x12_a_step_in_a_box_sees_neither_keys_nor_other_steps_nor_the_machines_sockets(
    boxes, tmp_path, settings
):
    other = sh("echo secret > note; echo $PWD; sleep 99")
    running = threading.Thread(target=other.run)
    running.start()
    assert other.spoke.wait(20)
    settings.KEY_DIR, settings.VAULT_TOKEN_PATH = (
        Path("/opt/countersign-test-keys"),
        Path("/opt/countersign-test"),
    )
    hidden = (settings.KEY_DIR / "permit.key", settings.VAULT_TOKEN_PATH, Path.home() / ".countersign-test")
    settings.KEY_DIR.mkdir(exist_ok=True)
    for path in hidden:
        path.write_text("secret")
    place = Path(other.text.strip())
    probe = look(*hidden, settings.RUN_DIR, settings.DATA_DIR, place, place.parent, "/run", tmp_path.parent)
    try:
        outcome = probe.run()
    finally:
        shutil.rmtree(settings.KEY_DIR)
        for path in hidden[1:]:
            path.unlink()
        other.control.cancel("done")
        running.join()
    assert (outcome.state, probe.text.split()) == ("succeeded", ["bwrap", "sh"]), probe.text
    assert other.left() == []


def test_the_same_look_without_a_box_finds_everything(tmp_path):
    """The probe can see: else the test above would prove nothing."""
    (tmp_path / "note").write_text("secret")
    probe = look(tmp_path)
    probe.run()
    assert f"READ {tmp_path}" in probe.text
    for folder in ("/etc", "/usr", "/opt", Path.cwd(), "/dev", "/run", "/home"):
        Path(folder, "countersign-was-here").unlink(missing_ok=True)


def test_what_a_step_is_given_and_leaves_is_the_same_in_a_box(boxes):
    step = Watched(
        ["./go.sh"],
        files={"go.sh": "#!/bin/sh\necho '{\"a\": 1}' > $STEP_OUTPUTS; cat data; pwd; env", "data": "hi\n"},
        env={"COLOUR": "blue"},
    )
    outcome = step.run()
    assert (outcome.state, outcome.outputs) == ("succeeded", {"a": 1})
    said, cwd, *variables = step.text.splitlines()
    names = dict(one.split("=", 1) for one in variables)
    assert (said, names["HOME"], names["COLOUR"]) == ("hi", cwd, "blue")
    assert names["STEP_FENCE"] == f"{step.attempt.step_id}:1"
    assert {one for one in names if one.startswith("COUNTERSIGN_")} == {"COUNTERSIGN_RUN", "COUNTERSIGN_BOOT"}
    failed = sh("echo 'No room.' > $STEP_REASON; exit 3").run()
    assert (failed.exit_code, failed.reason) == (3, "No room.")


def test_a_tree_in_a_box_that_hides_and_ignores_the_request_is_ended_as_a_whole(boxes):
    step = sh(STUBBORN, timeout_seconds=1)
    assert step.run().state == "timed_out"
    assert step.left() == []


def test_a_step_in_a_box_hears_the_request_and_ends_well(boxes):
    step = sh("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep .05; done", grace_seconds=9)
    threading.Thread(target=lambda: (step.spoke.wait(10), step.control.cancel("stop"))).start()
    began = time.monotonic()
    assert step.run().state == "cancelled"
    assert step.text.startswith("up\nbye\n")
    assert time.monotonic() - began < 5
    assert step.left() == []


def test_a_signal_and_a_limit_are_told_in_a_box_as_they_are_without_one(boxes):
    killed = sh("kill -9 $$").run()
    assert (killed.exit_code, "signal 9" in killed.reason) == (-9, True)
    beyond = bounded("for i in $(seq 600); do sleep 99 & done; sleep 99", processes=60)
    assert beyond.run().state == "failed"  # by its supervisor, or by the kernel where it is a user of its own
    assert beyond.left() == []
    full = sh("head -c 9000000 /dev/zero > /dev/shm/full", limits={**limits.usual(), "memory": 16 << 20})
    assert full.run().state == "failed"
    assert "No space left on device" in full.text


def test_a_killed_supervisor_takes_its_box_with_it(boxes):
    step = sh("(setsid sleep 99 &); echo up; sleep 99")
    running = threading.Thread(target=step.run)
    running.start()
    assert step.spoke.wait(20)
    outer = next(one for one in map(psutil.Process, step.left()) if one.name() == "bwrap"
                 and psutil.Process(one.ppid()).name() != "bwrap")  # fmt: skip
    psutil.Process(outer.ppid()).kill()
    running.join()
    assert step.left() == []


def test_x11_the_secrets_of_a_step_in_a_box_are_its_own_and_gone_with_it(boxes, transactional_db):
    case = Case(reading(script="ls /dev/shm | wc -l"))
    stored(case.bank)
    case.approved()
    work()
    assert printed() == f"{len(VALUE)}\n***1\n"
    assert list(Path("/dev/shm").glob("countersign-*:*:*")) == []


def test_a_worker_whose_machine_makes_no_box_takes_no_step_and_the_doctor_says_why(
    settings, monkeypatch, transactional_db, tmp_path
):
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'No permissions to create a new namespace' >&2; exit 1\n")
    refusing.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    settings.STEP_PROFILE = "bubblewrap"
    boxed._probe.cache_clear()
    node = Node()
    node.register()
    might = node.may_claim
    outcome = sh("echo ran").run()
    assert (outcome.state, "No permissions" in outcome.reason) == ("failed", True)
    assert [one.verdict for one in doctor.examine() if one.part == "steps"] == ["ill"]
    settings.STEP_PROFILE = ""
    assert (might, node.may_claim) == (False, True)
    boxed._probe.cache_clear()
