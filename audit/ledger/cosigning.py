"""Asks witnesses outside to cosign each new checkpoint, and keeps what they answer beside it.

A thread for each, beside the sequencer: one that is away or slow keeps nobody waiting. It must never keep a cosignature
that does not verify.
"""

import base64
import logging
import threading
from functools import cache

import httpx
from django.db import Error as DatabaseFault
from django.db import connection

from audit.ledger import checkpoint, merkle, succession, witnesses
from audit.ledger.integrate import tile
from audit.ledger.succession import Step
from audit.ledger.tiles import nodes
from audit.ledger.witnesses import Witness
from audit.models import Checkpoint, Cosignature

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
MOST_PAUSE_SECONDS = 60.0
TIMEOUT_SECONDS = 5.0


class NotCosigned(Exception):
    """What a witness answered in the place of a cosignature."""


def start() -> None:
    """A thread for each witness of the policy, as long as this process lives."""
    for one in witnesses.policy().witnesses:
        threading.Thread(target=Poster(one).run, name=f"witness {one.name}", daemon=True).start()


class Poster:
    """One witness, and the size that it is believed to have cosigned last: it tells where we are wrong."""

    def __init__(self, witness: Witness) -> None:
        self.witness, self.agreed = witness, 0
        self.done, self.pause = -1, LOOK_SECONDS
        self.told = 0  # of the steps from one key of the log to the next
        self.ending = threading.Event()
        self.client = httpx.Client(timeout=TIMEOUT_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))

    def run(self) -> None:
        while not self.ending.wait(self.pause):
            self.step()
        connection.close()

    def step(self) -> None:
        """Look once; what fails is tried again after a longer and longer pause."""
        try:
            newest = checkpoint.newest()
            if newest is not None and newest.size != self.done:
                self.introduce(newest.size)
                self.cosign(newest)
                self.done = newest.size
            self.pause = LOOK_SECONDS
        except (httpx.HTTPError, NotCosigned, ValueError) as error:
            self._wait(f"the witness {self.witness.name} did not cosign: {error}")
        except DatabaseFault as error:
            connection.close()
            self._wait(f"the database is away: {str(error).splitlines()[:1]}")

    def cosign(self, newest: Checkpoint) -> None:
        """Its cosignature over this checkpoint, kept; NotCosigned when it has none to give."""
        for _ in range(2):
            answer = self._post(newest)
            if answer.status_code != httpx.codes.CONFLICT:
                break
            seen = int(answer.text)
            if seen > newest.size or seen == self.agreed:
                raise NotCosigned(f"it has seen another log of {seen} entries than this one of {newest.size}")
            self.agreed = seen
        if answer.status_code != httpx.codes.OK:
            raise NotCosigned(f"it answered {answer.status_code}: {answer.text[:200].strip()}")
        self._keep(newest, answer.text)
        self.agreed = newest.size

    def introduce(self, size: int) -> None:
        """Bring it each step to another key of the log, in order; who runs one that takes none is told otherwise."""
        for step in list(succession.steps(size))[self.told :]:
            answer = self._tell(step)
            if answer.status_code == httpx.codes.CONFLICT:
                self.agreed = int(answer.text)
                answer = self._tell(step)
            if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY and self.agreed <= step.index:
                self.cosign(step.under)
                answer = self._tell(step)
            again = answer.status_code in {httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}
            if again or answer.is_server_error:
                raise NotCosigned(f"it did not take a key: {answer.status_code} {answer.text[:200].strip()}")
            self.told += 1

    def _tell(self, step: Step) -> httpx.Response:
        """The entry, proved to be in the log that the witness cosigned last."""
        size = self.agreed
        proof = merkle.inclusion(step.index, size, nodes(cache(tile))) if step.index < size else []
        hashes = "".join(base64.b64encode(one).decode() + "\n" for one in proof)
        head = f"{checkpoint.verifier().name}\n{size}\n{step.index}\n{hashes}\n"
        body = head.encode() + bytes(step.entry.body)
        return self.client.post(f"{self.witness.url}/add-key", content=body)

    def _post(self, newest: Checkpoint) -> httpx.Response:
        old = self.agreed
        proof = merkle.consistency(old, newest.size, nodes(cache(tile))) if 0 < old < newest.size else []
        hashes = "".join(base64.b64encode(one).decode() + "\n" for one in proof)
        body = f"old {old}\n{hashes}\n{newest.note}"
        return self.client.post(f"{self.witness.url}/add-checkpoint", content=body.encode())

    def _keep(self, newest: Checkpoint, lines: str) -> None:
        for line in lines.splitlines(keepends=True):
            at = self.witness.saw(newest.text, line)
            if at is not None:
                kept = Cosignature(checkpoint=newest, witness=self.witness.name, line=line, at=at)
                Cosignature.objects.bulk_create(
                    [kept], ignore_conflicts=True
                )  # a sequencer before us was there
                return
        raise NotCosigned("its answer holds no cosignature by its key over this checkpoint")

    def _wait(self, why: str) -> None:
        if self.pause == LOOK_SECONDS:
            log.warning("%s", why)
        self.pause = min(max(1.0, self.pause * 2), MOST_PAUSE_SECONDS)
