"""The supervisor of one step: starts it, owns its pipes and its clock, ends its whole tree, reports once.

Fences itself: without an `alive` from the worker for `fence_seconds`, by the monotonic clock, it kills the tree
before the lease can be another's. A closed socket means a dead worker and does the same at once.
"""

import json
import os
import select
import signal
import socket
import time
from typing import Any

from orchestration.engine.supervisor import frames, opening, tree
from orchestration.engine.supervisor.output import Output
from orchestration.engine.supervisor.redact import Redactor, Stream

AFTER_EXIT_SECONDS = 0.5  # how long a daemon may hold the pipe after the step's own process has ended
OUTPUTS_BYTES = 64 << 10
REASON_BYTES = 64 << 10  # read; masked as a whole, then cut
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
        survivors = tree.end_all(os.getpid())
        self._drain()
        return self._finish(survivors)

    def _start(self) -> str:
        """Fork and exec; a sentence when it could not be started."""
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

    def _become(self, out: int, err: int, tell: int) -> None:
        """In the child: nothing of the worker's is left when the step's program starts."""
        try:
            os.setsid()
            tree.die_with_parent()
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
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(self.spec["argv"][0], self.spec["argv"], self.spec["env"])  # noqa: S606 - no shell is the point
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
        if self.kill_at and now > self.kill_at and self.status is None:
            tree.tell(tree.descendants(os.getpid()), signal.SIGKILL)
            self.kill_at = now + 0.05

    def _end(self, why: str, *, at_once: bool = False) -> None:
        """Ask the tree to stop, and remember when asking is over. Fencing overrides everything and does not ask."""
        if self.status is not None or self.why == "fenced" or (self.why and not at_once):
            return
        self.why = why
        self.kill_at = time.monotonic() + (0 if at_once else self.spec["grace_seconds"])
        if not at_once:
            tree.tell(tree.descendants(os.getpid()), signal.SIGTERM)

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
        code = os.waitstatus_to_exitcode(self.status or 0)
        if survivors:
            named = ", ".join(map(str, survivors[:5]))
            return self._report("unknown", code, f"Processes of this step could not be ended: {named}.")
        if self.why:
            return self._report(self.why, code, REASONS[self.why])
        if code in self.spec["success_codes"]:
            leaks = opening.leaks(self.spec["env"].get("STEP_ARTIFACTS", ""), self.redactor)
            return self._report("failed", code, LEAKS) if leaks else self._report("succeeded", code, "")
        if code < 0:
            return self._report("failed", code, f"Ended by signal {-code} ({signal.strsignal(-code)}).")
        return self._report("failed", code, self._reason() or f"Exit code {code}.")

    def _report(self, state: str, code: int | None, reason: str) -> None:
        outputs, problem = self._outputs() if state == "succeeded" else ({}, "")
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

    def _reason(self) -> str:
        """The sentence that the step left in $STEP_REASON, if it left one."""
        try:
            with open(self.spec["env"]["STEP_REASON"], "rb") as file:  # noqa: PTH123
                return file.read(REASON_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""

    def _outputs(self) -> tuple[dict[str, Any], str]:
        """What the step wrote to $STEP_OUTPUTS: one flat JSON object, capped."""
        path = self.spec["env"]["STEP_OUTPUTS"]
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                data = file.read(OUTPUTS_BYTES + 1)
        except FileNotFoundError:
            return {}, ""
        if len(data) > OUTPUTS_BYTES:
            return {}, f"The step wrote more than {OUTPUTS_BYTES} bytes of outputs."
        try:
            value = json.loads(data)
        except ValueError:
            return {}, "The step wrote outputs that are not JSON."
        flat = isinstance(value, dict) and all(isinstance(one, str | int | bool) for one in value.values())
        return (
            (value, "")
            if flat
            else ({}, "The step's outputs must be one flat object of text and whole numbers.")
        )


LEAKS = "What the plan step left holds the value of a secret, so nothing of it was kept."
REASONS = {
    "timed_out": "It ran longer than its timeout and was ended.",
    "cancelled": "A person stopped the run.",
    "fenced": "The worker lost its lease; the step was ended so that no other could overlap it.",
}
