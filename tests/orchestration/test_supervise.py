"""One attempt as real processes: what it gets, how it ends, and that nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from orchestration.engine.attempt import Attempt, Chunk, Outcome
from orchestration.engine.supervise import Control, boot_marker, supervise, sweep_orphans
from orchestration.engine.supervisor.child import AFTER_EXIT_SECONDS


class Watched:
    """An attempt that runs, with its output and the marker that all of its processes carry."""

    def __init__(self, argv, *, uses="command", files=None, env=None, **changed):
        self.boot = uuid4()
        given = {"timeout_seconds": 20, "lease_ttl_seconds": 60, "grace_seconds": 0.5, **changed}
        with_ = {"argv": argv, **({"env": env} if env else {})} if uses == "command" else argv
        self.attempt = Attempt(
            run_id=uuid4(), step_id=uuid4(), step_key="step", number=1, boot_id=self.boot, idempotency_key="key",
            uses=uses, with_=with_, effect="at_most_once", files=files or {}, **given,
        )  # fmt: skip
        self.control, self.chunks = Control(), list[Chunk]()
        self.bytes: Counter[str] = Counter()
        self.spoke = threading.Event()

    def take(self, chunk):
        self.chunks.append(chunk)
        self.bytes["kept"] += len(chunk.data)
        self.bytes["dropped"] += chunk.dropped
        self.spoke.set()

    def run(self) -> Outcome:
        return supervise(self.attempt, on_log=self.take, control=self.control)

    @property
    def text(self):
        return b"".join(chunk.data for chunk in self.chunks).decode()

    def left(self):
        """Processes of this attempt that still live."""
        marker = f"COUNTERSIGN_BOOT={self.boot}".encode()
        found = []
        for process in psutil.process_iter():
            try:
                if marker in Path(f"/proc/{process.pid}/environ").read_bytes():
                    found.append(process.pid)
            except OSError:
                continue
        return found


def sh(script, **changed):
    return Watched(["/bin/sh", "-c", script], **changed)


def test_a_step_that_ends_well_succeeds_and_leaves_nothing():
    step = sh("echo one; echo two >&2")
    assert step.run().state == "succeeded"
    assert {chunk.stream for chunk in step.chunks} == {"stdout", "stderr"}
    assert [chunk.seq for chunk in step.chunks] == list(range(1, len(step.chunks) + 1))
    assert step.left() == []


def test_an_exit_code_is_a_failure_unless_the_step_lists_it():
    assert sh("exit 3").run() == Outcome("failed", 3, "Exit code 3.", {}, 0, 0)
    listed = sh("exit 3")
    listed.attempt.with_["success_codes"] = [0, 3]
    assert listed.run().state == "succeeded"


def test_a_program_that_is_not_there_is_a_failure_that_says_so():
    outcome = Watched(["/no/such/program"]).run()
    assert outcome.state == "failed"
    assert "could not be started" in outcome.reason


def test_x02_two_hundred_payloads_arrive_literally_as_arguments_and_variables():
    marks = ["; {}", "$({})", "`{}`", "a\n{}", "&& {}", "|| {}", "| {}", "> {}", "'; {}; '", '"; {}; "', "${{IFS}}{}",
             "\\$({})", "-o{}", "--{}", "*{}", "~/{}", "%0a{}", "{{{{{}}}}}", "\u202e{}", "!{}"]  # fmt: skip
    what = [
        "id",
        "touch /tmp/x02",
        "7*7",
        "ProxyCommand=id",
        "cat /etc/passwd",
        "sleep 9",
        "exit 1",
        "env",
        "rm -rf .",
        "%n",
    ]
    payloads = [mark.format(one) for mark in marks for one in what]
    tell = "import os, sys; print(ascii(sys.argv[1:])); print(ascii(os.environ['TYPED']))"
    step = Watched([sys.executable, "-c", tell, *payloads], env={"TYPED": "\n".join(payloads)})
    assert step.run().state == "succeeded"
    assert len(payloads) == 200
    assert step.text.splitlines() == [ascii(payloads), ascii("\n".join(payloads))]
    assert not Path("/tmp/x02").exists()


@pytest.mark.parametrize(
    "typed", ["; id", "$(id)", "`id`", "a\nb", "-oProxyCommand=x", "{{7*7}}", "%n", "ü\u202ex"]
)
def test_x02_what_a_person_typed_arrives_as_one_literal_argument(typed):
    step = Watched([sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", typed])
    assert step.run().state == "succeeded"
    assert step.text.strip() == ascii([typed])


def test_x03_the_environment_is_made_and_never_inherited(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "no")
    step = Watched(["/usr/bin/env"], env={"COLOUR": "blue"})
    step.run()
    names = {line.partition("=")[0] for line in step.text.splitlines()}
    own = {"PATH", "LANG", "HOME", "IDEMPOTENCY_KEY", "STEP", "STEP_ATTEMPT", "STEP_FENCE"}
    own |= {"STEP_OUTPUTS", "STEP_PHASE", "STEP_REASON", "STEP_TIMEOUT_SECONDS", "STEP_WITH"}
    own |= {"STEP_PLANS", "TMPDIR"}
    assert names == own | {"COLOUR", "COUNTERSIGN_RUN", "COUNTERSIGN_BOOT"}


def test_the_workflows_scripts_lie_in_a_private_folder_that_is_gone_afterwards():
    step = Watched(["./hello.sh"], files={"hello.sh": "#!/bin/sh\npwd; stat -c %a .\n"})
    assert step.run().state == "succeeded"
    place, mode = step.text.split()
    assert mode == "700"
    assert not Path(place).exists()


def test_outputs_come_back_as_data():
    step = sh("""printf '{"status": 200, "ok": true}' > $STEP_OUTPUTS""")
    assert step.run().outputs == {"status": 200, "ok": True}
    assert sh("echo nonsense > $STEP_OUTPUTS").run().reason == "The step wrote outputs that are not JSON."
    assert "more than" in sh("head -c 70000 /dev/zero > $STEP_OUTPUTS").run().reason


STUBBORN = (
    "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 99' &); (sh -c '(sleep 99 &) &'); echo up; sleep 99"
)


def test_a_timeout_ends_even_a_tree_that_hides_and_ignores_the_request():
    step = sh(STUBBORN, timeout_seconds=0.5)
    assert step.run().state == "timed_out"
    assert step.left() == []


def test_a_cancellation_ends_the_whole_tree():
    step = sh(STUBBORN)
    threading.Thread(target=lambda: (step.spoke.wait(10), step.control.cancel("stop"))).start()
    assert step.run().state == "cancelled"
    assert step.left() == []


def test_a_cancellation_before_the_start_still_ends_it():
    step = sh("sleep 99")
    step.control.cancel("early")
    assert step.run().state == "cancelled"


def test_a_step_without_a_heartbeat_fences_itself_before_the_lease_lapses():
    step = sh(STUBBORN, lease_ttl_seconds=1.5)
    started = time.monotonic()
    assert step.run().state == "fenced"
    assert time.monotonic() - started < 1.5
    assert step.left() == []


def test_a_heartbeat_keeps_it_alive():
    step = sh("sleep 1.2", lease_ttl_seconds=1.5)
    done = threading.Event()

    def beat():
        while not done.wait(0.1):
            step.control.alive()

    threading.Thread(target=beat).start()
    assert step.run().state == "succeeded"
    done.set()


def test_f24_a_daemon_that_holds_the_pipe_does_not_hold_the_step():
    """It left its session and its parent, and ignores requests; nobody waits for an end of the pipe."""
    step = sh("(trap '' TERM HUP; setsid sleep 99 &); echo done")
    started = time.monotonic()
    assert step.run().state == "succeeded"
    assert time.monotonic() - started < AFTER_EXIT_SECONDS + 3
    assert step.text == "done\n"
    assert step.left() == []


def test_two_hundred_children_are_all_ended():
    step = sh("for i in $(seq 200); do sleep 99 & done; echo up; wait", timeout_seconds=2)
    assert step.run().state == "timed_out"
    assert step.left() == []


@pytest.mark.parametrize(
    "script",
    [
        "head -c 100000000 /dev/zero | tr '\\0' x",
        "yes abcdefghi | head -c 100000000",
        "head -c 30000000 /dev/urandom",
    ],
    ids=["one line", "small lines", "binary"],
)
def test_a_flood_is_bounded_and_every_byte_left_out_is_counted(script):
    step = sh(script)
    outcome = step.run()
    assert outcome.state == "succeeded"
    total = 30000000 if "urandom" in script else 100000000
    assert step.bytes["kept"] + step.bytes["dropped"] == total
    assert outcome.log_bytes == step.bytes["kept"] <= 21 << 20
    assert outcome.dropped_bytes == step.bytes["dropped"] > 0


def test_the_end_of_a_flood_is_kept():
    step = sh("yes abcdefghi | head -c 60000000; echo THE END")
    step.run()
    assert step.text.endswith("THE END\n")


WORKER = """
import sys; sys.path.insert(0, {root!r})
import django; django.setup()
from tests.orchestration.test_supervise import sh
step = sh("echo $COUNTERSIGN_BOOT; sleep 99", lease_ttl_seconds=99)
step.take = lambda chunk: print(chunk.data.decode(), flush=True)
step.run()
"""


def test_a_worker_that_dies_takes_its_steps_with_it():
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTEST_XDIST_WORKER": "inside"}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(root=root)], env=env, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    marker = worker.stdout.readline().strip()
    worker.kill()
    worker.wait()
    worker.stdout.close()
    deadline = time.monotonic() + 10
    while any(marker in _environment(one) for one in psutil.pids()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(marker in _environment(one) for one in psutil.pids())


def _environment(pid):
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def test_orphans_of_a_dead_worker_are_swept_and_others_are_not():
    dead, alive = f"{uuid4()}:1:0", boot_marker(uuid4())
    orphan = subprocess.Popen(["sleep", "99"], env={"COUNTERSIGN_BOOT": dead})
    ours = subprocess.Popen(["sleep", "99"], env={"COUNTERSIGN_BOOT": alive})
    assert sweep_orphans() >= 1
    assert orphan.wait(5) == -signal.SIGKILL
    assert ours.poll() is None
    ours.kill()
    ours.wait()


def test_waiting_stops_at_once_when_told():
    step = Watched({"seconds": 60}, uses="wait")
    threading.Timer(0.2, step.control.cancel, ["stop"]).start()
    started = time.monotonic()
    assert step.run().state == "cancelled"
    assert time.monotonic() - started < 2


def test_waiting_succeeds_and_times_out():
    assert Watched({"seconds": 0}, uses="wait").run().state == "succeeded"
    assert Watched({"seconds": 9}, uses="wait", timeout_seconds=0.2).run().state == "timed_out"


def test_an_unknown_action_runs_nothing():
    assert "no action named magic" in Watched({}, uses="magic").run().reason


def test_the_fork_server_may_die_and_another_takes_over():
    from orchestration.engine.supervise import fork_server

    sh("true").run()
    os.kill(fork_server().process.pid, signal.SIGKILL)
    fork_server().process.wait()
    assert sh("true").run().state == "succeeded"


def test_a_supervisor_that_vanishes_leaves_an_honest_unknown():
    step = sh("echo up; sleep 99")

    def assassinate():
        step.spoke.wait(10)
        leader = psutil.Process(step.left()[0])
        os.kill(leader.ppid(), signal.SIGKILL)

    threading.Thread(target=assassinate).start()
    outcome = step.run()
    assert outcome.state == "unknown"
    assert step.left() == []
    assert json.dumps(outcome.reason)
