"""The supervisor of one step: starts it, owns its pipes and its clock, ends its whole tree, reports once.

Fences itself: without an `alive` from the worker for `fence_seconds`, by the monotonic clock, it kills the tree
before the lease can be another's. A closed socket means a dead worker and does the same at once.
"""

import os
import select
import signal
import socket
import time
from typing import Any

from orchestration.engine.supervisor import frames, left, opening, tree
from orchestration.engine.supervisor.apart import NoUser, User
from orchestration.engine.supervisor.bounds import Bounds
from orchestration.engine.supervisor.output import Output
from orchestration.engine.supervisor.redact import Redactor, Stream

AFTER_EXIT_SECONDS = 0.5  # how long a daemon may hold the pipe after the step's own process has ended
REASON_LENGTH = 2000
READ_BYTES = 256 << 10
SEND_AHEAD_BYTES = 512 << 10


class Supervisor:
    """One step from its start to its outcome."""

    def __init__(self, spec: dict[str, Any], worker: socket.socket) -> None:
        self.spec, self.worker = spec, worker
        self.reader, self.unsent = frames.Reader(), bytearray()
        self.output = Output(time.monotonic())
        self.pipes: dict[int, bytes] = {}
        self._mask(Redactor([]))
        self.leader = -1
        self.status: int | None = None
        self.ended_at = self.kill_at = 0.0
        self.bounds = Bounds(spec["bounds"])
        self.user: User | None = None
        self.beyond = ""  # the sentence, once it used more than it may
        self.why = ""  # timed_out, cancelled or fenced, once the step is being ended
        self.worker_gone = False
        self.started = self.alive_at = time.monotonic()

    def run(self) -> None:
        os.setsid()
        tree.adopt_orphans()
        self.worker.setblocking(False)
        try:
            if self._open():
                self._run()
        finally:
            if "opener" in self.spec:
                opening.remove(self.spec["opener"]["directory"])

    def _mask(self, redactor: Redactor) -> None:
        """From now on nothing leaves that this redactor knows."""
        self.redactor = redactor
        self.masked = {b"1": Stream(redactor), b"2": Stream(redactor)}

    def _open(self) -> bool:
        """Let the step's secrets be laid out; False, and it is told, when the step must not be started."""
        if "opener" not in self.spec:
            return True
        opener = opening.Opener(self.spec["opener"]["argv"], self.spec["opener"]["env"])
        while not opener.ended and not self.why:
            said, heard = opening.wait(opener, self.worker.fileno(), self._pause())
            if said:
                opener.read()
            if heard:
                self._hear()
            self._check_clocks()
        opener.close()
        answer = opener.answer
        if self.why:
            self._report(self.why, None, REASONS[self.why])
        elif "problem" in answer:
            self._report("unstarted" if answer["again"] else "failed", None, answer["problem"])
        else:
            self._mask(opening.redactor_of(answer))
        return not self.why and "problem" not in answer

    def _run(self) -> None:
        problem = self._start()
        if problem:
            return self._report("failed", None, problem)
        while not self._is_over():
            self._wait()
            self._check_clocks()
            self._send_output()
        survivors = self._end_all()
        self._drain()
        return self._finish(survivors)

    def _start(self) -> str:
        """Fork and exec; a sentence when it could not be started."""
        try:
            self._set_apart()
        except NoUser as error:
            return str(error)
        out, out_child = os.pipe()
        err, err_child = os.pipe()
        told, tell = os.pipe()
        self.leader = os.fork()
        if self.leader == 0:
            self._become(out_child, err_child, tell)
        for handle in (out_child, err_child, tell):
            os.close(handle)
        with os.fdopen(told, "rb") as answer:
            problem = answer.read().decode(errors="replace")
        self.pipes = {out: b"1", err: b"2"}
        for handle in self.pipes:
            os.set_blocking(handle, False)
        self.exit_handle = os.pidfd_open(self.leader)
        return problem

    def _set_apart(self) -> None:
        """A user of its own, with nothing left of whoever had the number before."""
        if self.spec["uids"]:
            self.user = User(*self.spec["uids"])
            self.user.end_all(clean=True)
            for place in self.spec["places"]:
                self.user.own(place)

    def _become(self, out: int, err: int, tell: int) -> None:
        """In the child: nothing of the worker's is left when the step's program starts."""
        try:
            os.setsid()
            os.umask(0o077)
            os.chdir(self.spec["cwd"])
            tree.limit(self.spec["limits"])
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(err, 2)
            if tell != 3:
                os.dup2(tell, 3)
            os.set_inheritable(3, False)
            os.closerange(4, 4096)
            if self.user is not None:
                self.user.become()
            tree.die_with_parent()  # only now: a change of the user forgets it
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            line = [*self.spec["box"], *self.spec["argv"]]
            os.execvpe(line[0], line, self.spec["env"])  # noqa: S606 - no shell is the point
        except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor must hear of it
            os.write(3, f"{self.spec['argv'][0]} could not be started: {error}".encode())
        finally:
            os._exit(127)

    def _is_over(self) -> bool:
        if self.status is None:
            return False
        return not self.pipes or time.monotonic() - self.ended_at > AFTER_EXIT_SECONDS

    def _wait(self) -> None:
        reading = [*self.pipes, *([self.exit_handle] if self.status is None else [])]
        reading += [] if self.worker_gone else [self.worker.fileno()]
        writing = [self.worker.fileno()] if self.unsent and not self.worker_gone else []
        ready, writable, _ = select.select(reading, writing, [], self._pause())
        for handle in ready:
            if handle in self.pipes:
                self._read(handle)
            elif handle == self.exit_handle and self.status is None:
                self.status = os.waitpid(self.leader, 0)[1]
                self.ended_at = time.monotonic()
            elif not self.worker_gone and handle == self.worker.fileno():
                self._hear()
        if writable:
            self._write()

    def _pause(self) -> float:
        """Until the next clock: short while output waits, else until a deadline."""
        now = time.monotonic()
        ends: list[float] = [
            self.started + self.spec["timeout_seconds"],
            self.alive_at + self.spec["fence_seconds"],
        ]
        if self.kill_at:
            ends = [self.kill_at]
        if self.status is not None:
            ends = [self.ended_at + AFTER_EXIT_SECONDS]
        elif not self.beyond:
            ends.append(self.bounds.next_at)
        if self.output.is_waiting:
            ends.append(now + 0.05)
        return max(0.0, min(ends) - now) + 0.001

    def _read(self, handle: int) -> bool:
        """Take what stands in a pipe; False when nothing did."""
        try:
            data = os.read(handle, READ_BYTES)
        except BlockingIOError:
            return False
        stream = self.pipes[handle]
        self.output.put(stream, self.masked[stream].put(data, ended=not data), time.monotonic())
        if not data:
            del self.pipes[handle]
            os.close(handle)
        return bool(data)

    def _hear(self) -> None:
        """What the worker says; its silence for ever means that it is gone."""
        try:
            data = self.worker.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.worker_gone = True
            self._end("fenced", at_once=True)
        for kind, _ in self.reader.feed(data):
            if kind == frames.ALIVE:
                self.alive_at = time.monotonic()
            elif kind == frames.CANCEL:
                self._end("cancelled")
            elif kind == frames.FENCE:
                self._end("fenced", at_once=True)

    def _check_clocks(self) -> None:
        now = time.monotonic()
        if now - self.alive_at > self.spec["fence_seconds"]:
            self._end("fenced", at_once=True)
        elif now - self.started > self.spec["timeout_seconds"]:
            self._end("timed_out")
        if self.status is None and not self.beyond and (said := self.bounds.look(os.getpid(), self.leader)):
            self.beyond, self.kill_at = said, now
        if self.kill_at and now >= self.kill_at and self.status is None:
            self._kill()
            self.kill_at = now + 0.05

    def _end(self, why: str, *, at_once: bool = False) -> None:
        """Ask the tree to stop, and remember when asking is over. Fencing overrides everything and does not ask."""
        if self.status is not None or self.why == "fenced" or (self.why and not at_once):
            return
        self.why = why
        self.kill_at = time.monotonic() + (0 if at_once else self.spec["grace_seconds"])
        if not at_once:
            self._ask()

    def _ask(self) -> None:
        """SIGTERM to the whole tree; whoever was stopped goes on, so as to hear it. The box would fall, so it is not
        told: the processes in it are."""
        told = [pid for pid in tree.descendants(os.getpid()) if pid != self.leader or not self.spec["box"]]
        tree.tell(told, signal.SIGTERM)
        tree.tell(told, signal.SIGCONT)

    def _kill(self) -> None:
        tree.come_first()
        if self.user is not None:
            self.user.end_all()
        tree.kill(os.getpid(), until=time.monotonic() + 1)

    def _end_all(self) -> list[int]:
        """Nothing of the step is left; the pids of what outlived even that."""
        tree.come_first()
        if self.user is not None:
            self.user.end_all()
        survivors = tree.end_all(os.getpid())
        if self.user is not None:
            self.user.end_all(clean=True)
        tree.come_first(False)
        return survivors

    def _send_output(self) -> None:
        while not self.worker_gone and len(self.unsent) < SEND_AHEAD_BYTES:
            piece = self.output.take(time.monotonic())
            if piece is None:
                break
            self.unsent += frames.log_frame(*piece)
        if self.unsent:
            self._write()

    def _write(self) -> None:
        try:
            sent = self.worker.send(self.unsent)
            del self.unsent[:sent]
        except BlockingIOError:
            return
        except OSError:
            self.worker_gone = True
            self._end("fenced", at_once=True)

    def _drain(self) -> None:
        """What still stands in the pipes after the tree has ended."""
        for handle in list(self.pipes):
            stands = True
            while stands and handle in self.pipes:
                stands = self._read(handle)

    def _finish(self, survivors: list[int]) -> None:
        """The rest of the log, then the one outcome."""
        for (
            stream,
            masked,
        ) in self.masked.items():  # of a pipe that a process outside the tree still holds open
            self.output.put(stream, masked.put(b"", ended=True), time.monotonic())
        while (piece := self.output.take(time.monotonic(), ended=True)) is not None:
            self.unsent += frames.log_frame(*piece)
        for piece in self.output.lost():
            self.unsent += frames.log_frame(*piece)
        code = self._code()
        if survivors:
            named = ", ".join(map(str, survivors[:5]))
            return self._report("unknown", code, f"Processes of this step could not be ended: {named}.")
        if self.beyond and self.why != "fenced":
            return self._report("failed", code, self.beyond)
        if self.why:
            return self._report(self.why, code, REASONS[self.why])
        if code in self.spec["success_codes"]:
            leaks = opening.leaks(self.spec["env"].get("STEP_ARTIFACTS", ""), self.redactor)
            return self._report("failed", code, LEAKS) if leaks else self._report("succeeded", code, "")
        if code < 0:
            short = self.bounds.why_killed() if code == -signal.SIGKILL else ""
            said = f"Ended by signal {-code} ({signal.strsignal(-code)})."
            return self._report("failed", code, short or said)
        reason = left.reason(self.spec["env"]["STEP_REASON"])
        return self._report("failed", code, reason or f"Exit code {code}.")

    def _code(self) -> int:
        """The exit code, or the number of the signal that ended it, negative. A box tells a signal as shells do."""
        code = os.waitstatus_to_exitcode(self.status or 0)
        return 128 - code if self.spec["box"] and code - 128 in signal.valid_signals() else code

    def _report(self, state: str, code: int | None, reason: str) -> None:
        outputs: dict[str, Any] = {}
        problem = ""
        if state == "succeeded":
            outputs, problem = left.outputs(self.spec["env"]["STEP_OUTPUTS"])
        told = {
            "state": "failed" if problem else state,
            "exit_code": code,
            "reason": self.redactor.text(problem or reason)[:REASON_LENGTH],
            "outputs": self.redactor.flat(outputs),
            "log_bytes": self.output.sent_bytes,
            "dropped_bytes": self.output.dropped_bytes,
        }
        self.unsent += frames.frame_json(frames.OUTCOME, told)
        if not self.worker_gone:
            try:
                self.worker.setblocking(True)
                self.worker.sendall(self.unsent)
            except OSError:
                return


LEAKS = "What the plan step left holds the value of a secret, so nothing of it was kept."
REASONS = {
    "timed_out": "It ran longer than its timeout and was ended.",
    "cancelled": "A person stopped the run.",
    "fenced": "The worker lost its lease; the step was ended so that no other could overlap it.",
}
