"""A real RabbitMQ for some tests: ordinary processes on loopback, with folder, ports and password of their own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from config.embedded.process import drop_to

# Debian's command on the PATH starts it as another user without our environment; what it wraps lies here.
FOUND = shutil.which("rabbitmq-server", path=f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}:/usr/sbin")
EPMD = shutil.which("epmd")  # Erlang's register of names; ours, so that nobody leaves one behind
READY_SECONDS = 60


class RabbitMQ:
    """One broker; what it stored outlives a kill, and goes with `remove`."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="countersign-rabbitmq-"))
        self.port, self.password = _free_port(), secrets.token_hex(16)
        self.log = self.home / "log"
        said = {"listeners.tcp.1": f"127.0.0.1:{self.port}", "default_user": "countersign"}
        lines = {**said, "default_pass": self.password}.items()
        (self.home / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in lines))
        (self.home / "plugins").write_text("[].\n")
        self.env = self._environment()
        self.names = self._run([str(EPMD), "-port", self.env["ERL_EPMD_PORT"]])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://countersign:{self.password}@127.0.0.1:{self.port}//"

    def start(self) -> "RabbitMQ":
        """Running and answering, again if it was killed; RuntimeError with the end of its log if it did not come up."""
        if self.process is not None:
            self.process.wait()
        self.process = self._run([str(FOUND)])
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not come up:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)
        return self

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def remove(self) -> None:
        for process in filter(None, (self.process, self.names)):
            process.kill()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _run(self, argv: list[str]) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                argv, env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=drop_to(os.geteuid()),  # noqa: PLW1509 - no other thread runs Python then
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        """Nothing of the machine's own installation is read or written; the cookie lies in the home folder."""
        home, nowhere = str(self.home), str(self.home / "none")
        return {
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": home,
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the broker, so that killing it kills the broker
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(_free_port()),
            "RABBITMQ_NODENAME": "countersign@localhost", "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"), "RABBITMQ_CONF_ENV_FILE": nowhere,
            "RABBITMQ_ADVANCED_CONFIG_FILE": nowhere, "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_MNESIA_BASE": home, "RABBITMQ_LOG_BASE": home, "RABBITMQ_LOGS": "-",
            # Distribution on loopback alone; one scheduler that does not spin, for the tests need the cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }  # fmt: skip


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
