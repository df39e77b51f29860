"""A step uses no more than it may, is ended as a whole however it hides, and is told why, in words."""

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from orchestration.definitions import limits
from orchestration.engine.supervisor.bounds import MIB, Bounds
from tests.orchestration.test_secrets import sealed
from tests.orchestration.test_supervise import Watched, sh

SYSTEM_PYTHON = "/usr/bin/python3"


def bounded(script, *, timeout=20, **given):
    return sh(script, limits={**limits.usual(), **given}, timeout_seconds=timeout)


def python(script, **given):
    found = SYSTEM_PYTHON if Path(SYSTEM_PYTHON).exists() else sys.executable
    return Watched([found, "-c", script], limits={**limits.usual(), **given})


# It doubles, but ten times at most: a bomb without an end of its own takes the machine of whoever breaks the bound.
BOMB = "bomb() { [ $1 -ge 10 ] && exec sleep 99; bomb $(($1+1)) & bomb $(($1+1)); }; bomb 0"

FORKS = """
import os, time
for number in range(60):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except BlockingIOError:
        print("refused behind", number, flush=True)
        break
"""

# --- tasks ----------------------------------------------------------------------------------------------------


def test_x20_what_doubles_like_a_fork_bomb_is_ended_within_seconds_and_nothing_of_it_is_left():
    bomb = bounded(BOMB, processes=60)
    began = time.monotonic()
    outcome = bomb.run()
    assert outcome.state == "failed"
    assert "its limit is 60, so it was ended" in outcome.reason
    assert time.monotonic() - began < 10
    assert bomb.left() == []


def test_a_bomb_whose_parts_leave_their_session_and_their_parent_is_ended_too():
    hiding = "i=0; while [ $i -lt 600 ]; do setsid sh -c '(sleep 99 &) &' & i=$((i+1)); done; sleep 99"
    bomb = bounded(hiding, processes=60)
    outcome = bomb.run()
    assert "its limit is 60" in outcome.reason
    assert bomb.left() == []


def test_threads_count_as_well():
    step = python(
        "import threading, time\nfor _ in range(80): threading.Thread(target=time.sleep, args=(9,)).start()",
        processes=60,
    )
    outcome = step.run()
    assert outcome.state == "failed"
    assert "processes and threads" in outcome.reason


def test_a_thousand_children_are_all_ended():
    step = bounded(
        "i=0; while [ $i -lt 1000 ]; do sleep 99 & i=$((i+1)); done; echo up; wait",
        processes=2000,
        timeout=60,
    )
    threading.Thread(target=lambda: (step.spoke.wait(50), step.control.cancel("stop"))).start()
    outcome = step.run()
    assert (outcome.state, step.text) == ("cancelled", "up\n")
    assert step.left() == []


# --- memory ---------------------------------------------------------------------------------------------------


def test_x20_a_step_that_fills_the_memory_is_ended_and_told_so():
    step = python(
        "import time\nheld = []\nwhile True: held.append(bytearray(4 << 20)); time.sleep(.02)",
        memory=64 * MIB,
    )
    outcome = step.run()
    assert (outcome.state, outcome.exit_code) == ("failed", -9)
    assert "its limit is 64 MiB, so it was ended" in outcome.reason


def test_memory_is_counted_over_the_whole_tree_and_what_is_shared_is_counted_once():
    many = "import os, time\nheld = bytearray(40 << 20)\n{fork}\ntime.sleep(1.5)"
    shared = python(many.format(fork="[os.fork() for _ in range(2)]"), memory=128 * MIB)
    assert shared.run().state == "succeeded"  # 40 MiB in four processes, all of them the same
    own = "for _ in range(3):\n  if not os.fork(): held = bytearray(b'x' * (40 << 20)); break"
    assert "so it was ended" in python(many.format(fork=own), memory=128 * MIB).run().reason


def test_what_one_process_asks_for_at_once_is_refused_by_the_kernel():
    outcome = python("bytearray(10 << 30)", memory=64 * MIB).run()
    assert (outcome.state, outcome.exit_code) == ("failed", 1)


def test_a_kill_for_want_of_memory_on_the_machine_is_told_in_words(monkeypatch):
    found = {"/proc/vmstat": 7, "/proc/meminfo": 0}
    monkeypatch.setattr("orchestration.engine.supervisor.bounds._number", lambda path, _: found[path])
    bounds = Bounds({"processes": 1, "memory": 1})
    assert bounds.why_killed() == ""
    found["/proc/vmstat"] = 8
    assert "ran out of memory" in bounds.why_killed()


# --- what the kernel holds a process to -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "given", "words"),
    [
        ("while :; do :; done", {"cpu_seconds": 1}, "CPU time limit exceeded"),
        ("exec head -c 2000000 /dev/zero > big", {"file_size": 1_000_000}, "File size limit exceeded"),
    ],
)
def test_a_limit_of_a_process_is_told_by_its_name(script, given, words):
    outcome = bounded(script, **given).run()
    assert outcome.state == "failed"
    assert words in outcome.reason


def test_too_many_open_files_are_refused():
    step = python("[open('/dev/null') for _ in range(20)]", open_files=16)
    assert step.run().state == "failed"
    assert "Too many open files" in step.text


def test_x11_no_core_is_written():
    assert bounded("ulimit -c").run().state == "succeeded"
    step = bounded("ulimit -c")
    step.run()
    assert step.text == "0\n"


# --- however it hides -----------------------------------------------------------------------------------------


def test_what_was_stopped_hears_the_request_and_ends_well():
    step = sh("trap 'echo bye; exit 0' TERM; kill -STOP $$; sleep 99", grace_seconds=5)
    stopped = threading.Thread(target=_cancel_when_stopped, args=(step,))
    stopped.start()
    assert step.run().state == "cancelled"
    stopped.join()
    assert step.text == "bye\n"


def _cancel_when_stopped(step):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if any(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in step.left()):
            break
        time.sleep(0.05)
    step.control.cancel("stop")


def test_a_tree_of_stopped_processes_is_ended():
    step = sh(
        "(setsid sh -c 'kill -STOP $$' &); (sleep 99 & kill -STOP $!); echo up; kill -STOP $$",
        timeout_seconds=1,
    )
    assert step.run().state == "timed_out"
    assert step.left() == []


def test_x08_a_pipe_or_a_link_in_the_place_of_the_outputs_holds_nobody_up_and_reads_nothing(tmp_path):
    secret = tmp_path / "key"
    secret.write_text("of the worker")
    told = {
        "mkfifo $STEP_OUTPUTS": "no plain file",
        f"ln -s {secret} $STEP_OUTPUTS": "no plain file",
        f"ln {secret} $STEP_OUTPUTS": "no plain file",
        "mkdir $STEP_OUTPUTS": "no plain file",
    }
    for script, words in told.items():
        began = time.monotonic()
        outcome = sh(script).run()
        assert (outcome.state, words in outcome.reason) == ("failed", True), (script, outcome)
        assert time.monotonic() - began < 5
    outcome = sh(f"ln -s {secret} $STEP_REASON; exit 1").run()
    assert outcome.reason == "Exit code 1."


# --- users of their own ---------------------------------------------------------------------------------------

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED HERE: only root can become another user")


@pytest.fixture
def apart(settings, users_of_steps):
    settings.STEP_UIDS = (61_500, 61_503)
    from orchestration.engine import apart

    apart.uids.cache_clear()
    yield
    apart.uids.cache_clear()


PROBE = """
for what in {places}; do
    if head -c1 "$what" >/dev/null 2>&1 || ls "$what/" >/dev/null 2>&1; then echo "READ $what"; fi
done
kill -0 {worker} 2>/dev/null && echo "MAY SIGNAL THE WORKER"
touch /etc/countersign-was-here 2>/dev/null && echo "WROTE /etc"
id -u; id -G; pwd; test -w . && test -w "$TMPDIR" && echo mine
"""


@AS_ROOT
def test_x12_a_step_reads_nothing_of_its_worker_and_nothing_of_another_step(apart, tmp_path, settings):
    other = sh("echo secret > note; echo $PWD; sleep 99")
    running = threading.Thread(target=other.run)
    running.start()
    assert other.spoke.wait(20)
    key = tmp_path / "keys" / "permit.key"
    key.parent.mkdir(mode=0o700)
    key.write_text("secret")
    sleeping = other.left()[0]
    supervisor = psutil.Process(sleeping).ppid()
    place = Path(other.text.strip())
    denied = [
        key, settings.KEY_DIR, settings.RUN_DIR, f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/fd",
        f"/proc/{supervisor}/environ", f"/proc/{sleeping}/environ", place, place.parent, place / "note",
        place.parent / "told", "/root", "/etc/shadow", "/var/run/docker.sock",
    ]  # fmt: skip
    probe = sh(PROBE.format(places=" ".join(map(str, denied)), worker=os.getpid()))
    assert probe.run().state == "succeeded"
    other.control.cancel("done")
    running.join()
    assert "READ" not in probe.text, probe.text
    assert "MAY" not in probe.text, probe.text
    uid, groups, cwd, mine = probe.text.split()
    assert uid == groups
    assert 61_500 <= int(uid) <= 61_503
    assert (Path(cwd).exists(), mine) == (False, "mine")


@AS_ROOT
def test_steps_at_the_same_time_are_different_users_and_one_too_many_says_so(apart):
    steps = [sh("id -u; sleep 99") for _ in range(4)]
    running = [threading.Thread(target=one.run) for one in steps]
    for one in running:
        one.start()
    assert all(one.spoke.wait(30) for one in steps)
    outcome = sh("true").run()
    for one in steps:
        one.control.cancel("done")
    for one in running:
        one.join()
    assert len({one.text for one in steps}) == 4
    assert (outcome.state, "COUNTERSIGN_STEP_UIDS" in outcome.reason) == ("failed", True)
    assert sh("true").run().state == "succeeded"  # the numbers are free again


@AS_ROOT
def test_the_user_of_a_step_is_free_again_when_its_supervisor_is_killed(apart):
    for _ in range(5):
        step = sh("echo up; (setsid sleep 99 &); sleep 99")
        running = threading.Thread(target=step.run)
        running.start()
        assert step.spoke.wait(20)
        leader = next(pid for pid in step.left() if psutil.Process(pid).name() == "sh")
        psutil.Process(psutil.Process(leader).ppid()).kill()
        running.join()
    for _ in range(4):
        assert sh("true").run().state == "succeeded"


@AS_ROOT
def test_what_a_step_leaves_where_anybody_may_write_goes_with_it(apart):
    leave = "mkdir -p /tmp/cs-left/deep; echo x > /tmp/cs-left/deep/file; ln -s /etc /tmp/cs-left/out"
    step = sh(f"{leave}; echo x > /dev/shm/cs-left")
    assert step.run().state == "succeeded"
    assert not Path("/tmp/cs-left").exists()
    assert not Path("/dev/shm/cs-left").exists()
    assert Path("/etc/passwd").exists()


@AS_ROOT
def test_the_kernel_holds_a_user_of_its_own_to_its_processes_and_nothing_of_it_is_left(apart):
    said = python("import resource; print(resource.getrlimit(resource.RLIMIT_NPROC)[0])", processes=8)
    assert said.run().state == "succeeded"
    assert said.text == "26\n"  # 8, a quarter more, and 16
    many = python(FORKS, processes=8)
    many.run()
    assert 8 < int(many.text.removeprefix("refused behind ")) < 26, "before anybody has counted them"
    assert of_steps() == []


def of_steps():
    """Living processes of the users of steps."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if 61_500 <= folder.stat().st_uid <= 61_503 and " Z " not in (folder / "stat").read_text():
                found.append(folder.name)
        except OSError:
            continue
    return found


@AS_ROOT
def test_outputs_and_files_work_for_a_user_of_its_own(apart):
    step = Watched(
        ["./go.sh"], files={"go.sh": "#!/bin/sh\necho '{\"a\": 1}' > $STEP_OUTPUTS; cat data", "data": "hi"}
    )
    outcome = step.run()
    assert (outcome.state, outcome.outputs, step.text) == ("succeeded", {"a": 1}, "hi")
    failed = sh("echo 'No room.' > $STEP_REASON; exit 3").run()
    assert failed.reason == "No room."


@AS_ROOT
def test_a_user_of_its_own_reads_its_secrets_and_no_other_does_and_nothing_of_them_is_left(apart):
    holder = sh('stat -c %u "$STEP_SECRETS/TOKEN"; cat "$STEP_SECRETS/TOKEN"; echo; echo "$STEP_SECRETS"; sleep 99',
                secrets=sealed("TOKEN", "Tr0ub4dor&3"))  # fmt: skip
    running = threading.Thread(target=holder.run)
    running.start()
    deadline = time.monotonic() + 20
    while holder.text.count("\n") < 3 and time.monotonic() < deadline:
        holder.spoke.wait(0.05)
    uid, shown, place = holder.text.split()
    other = sh(
        f"cat {place}/TOKEN; ls {place}; ls -ld {place}; id -u", secrets=sealed("TOKEN", "other-value")
    )
    try:
        assert other.run().state == "succeeded"
    finally:
        holder.control.cancel("done")
        running.join()
    assert (shown, 61_500 <= int(uid) <= 61_503) == ("***", True)
    assert other.text.count("Permission denied") == 2
    assert other.text.split()[-1] not in {uid, "0"}
    assert not Path(place).exists()
    assert of_steps() == []


def test_a_worker_that_is_not_root_starts_nothing_where_users_are_asked_for(settings, monkeypatch):
    settings.STEP_UIDS = (61_500, 61_503)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    outcome = sh("true").run()
    assert (outcome.state, "needs a worker that is root" in outcome.reason) == ("failed", True)
