"""`python -m tests.model.prove`: check the models of the gate and of plans with Spin, and refute each broken twin.

A claim that no twin can violate proves nothing. Spin and a C compiler do the work; Debian has both. Exit code 0 when
every claim holds and every twin is refuted, 1 otherwise, 2 where Spin or the compiler is missing.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MODEL = Path(__file__).with_name("gate.pml")
SECONDS = 240  # for one check; each takes a few on an idle machine
CAP_SECONDS = 900  # for all of them: whatever is not finished by then is not proved
SCENES = {0: "nobody is away", 1: "one is away", 2: "the requester is away", 3: "break-glass"}
# What is broken -> the scene in which it shows, and what it breaks (docs/explanation/proof.md).
TWINS = {
    "QUORUM": (0, "I1", "one stage is enough"),
    "MEMBER": (0, "I1", "who has left since still counts"),
    "ORDER": (0, "I1", "the second stage may sign first"),
    "VETO": (0, "I1", "a rejection is not looked at"),
    "DIGEST": (0, "I2 I3", "a sign-off of another revision counts"),
    "FREEZE": (0, "I4", "a freeze is not looked at"),
    "EXPIRY": (0, "I4", "what has expired may start"),
    "STOP": (0, "I4", "a run that was stopped goes on"),
    "POLICY": (0, "I5", "a newer policy that asks for more is not looked at"),
    "SELF": (0, "I6", "the requester counts"),
    "CONFLICT": (2, "I6", "the requester's delegate counts"),
    "DISTINCT": (0, "I7", "one person signs both stages"),
    "DELEGATE": (1, "I7", "who is away and who decides for them count twice"),
    "SPLIT": (0, "I8", "the gate looks in one transaction and starts in another"),
    "TERMINAL": (0, "I8", "what has ended is opened again"),
    "FENCE": (0, "I9", "a worker that lost its lease may report"),
    "COMMIT": (0, "I10", "a step runs whose start was rolled back"),
    "ONCE": (0, "I11", "a step that must not be repeated is repeated"),
    "PREDECESSOR": (0, "I12", "a step that is done may start again"),
    "GLASS": (3, "I14", "one person is enough in an emergency"),
    "REVIEW": (3, "I14", "nobody reviews an emergency"),
    "PERMIT": (0, "permit", "an ended permit starts a step"),
}
# The same of the second model: plans, and a step that a person does.
PLANS = Path(__file__).with_name("plan.pml")
PLAN_TWINS = {
    "PLANPERMIT": ("I1", "the permit of a plan starts an apply step"),
    "ASKGATE": ("I1", "a person is asked before the gate has agreed"),
    "BYTES": ("I2", "the bytes of a plan are handed over unseen"),
    "SAMETITLE": ("I3", "another plan takes the place of the one that was signed"),
    "NOVOID": ("I1 I3", "what was approved stays so when another plan was found"),
    "OWN": ("I6", "whoever asked does the step that a person does"),
    "LATE": ("I8", "a person answers after the run was stopped"),
    "TWICE": ("I9", "a person answers twice"),
}


UNFINISHED = "Search not completed"  # as Spin says it


@dataclass(frozen=True)
class Found:
    """What Spin says of one model."""

    name: str
    claim: str
    words: str
    refuted: bool
    complete: bool
    states: int
    seconds: float

    @property
    def as_it_must(self) -> bool:
        """The product holds in every state there is; a twin does not hold."""
        return self.refuted if self.claim else self.complete and not self.refuted


def missing() -> str:
    """What is not on this machine; empty when the model can be checked."""
    return " and ".join(name for name in ("spin", "gcc") if shutil.which(name) is None)


def scene(number: int) -> Found:
    """The model as the product is, in one scene: every state of it."""
    return _check(f"scene {number}", "", SCENES[number], f"-DSCENE={number}")


def twin(name: str) -> Found:
    """The model with one thing broken."""
    number, claim, words = TWINS[name]
    return _check(name, claim, words, f"-DSCENE={number}", f"-DBUG_{name}")


def plans() -> Found:
    """The second model as the product is: every state of it."""
    return _check("plans", "", "plan, review, apply, and a step for a person", model=PLANS)


def plan_twin(name: str) -> Found:
    claim, words = PLAN_TWINS[name]
    return _check(name, claim, words, f"-DBUG_{name}", model=PLANS)


def everything(workers: int = 2) -> Iterator[Found]:
    """Scenes first: they take longest."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(
            lambda one: one(),
            [
                *(lambda n=n: scene(n) for n in SCENES),
                plans,
                *(lambda n=n: twin(n) for n in TWINS),
                *(lambda n=n: plan_twin(n) for n in PLAN_TWINS),
            ],
        )


def _check(name: str, claim: str, words: str, *defined: str, model: Path = MODEL) -> Found:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="countersign-model-") as place:
        try:
            _run(place, "spin", *defined, "-a", str(model))
            _run(place, "gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", *defined, "-o", "pan", "pan.c")
            told = _run(place, "./pan", "-m10000", "-w24")
        except subprocess.TimeoutExpired:
            told = UNFINISHED
    states = next((int(float(line.split()[0])) for line in told.splitlines() if "states, stored" in line), 0)
    return Found(
        name=name, claim=claim, words=words, refuted="errors: 1" in told or "assertion violated" in told,
        complete="errors: 0" in told and UNFINISHED not in told and "max search depth" not in told,
        states=states, seconds=time.monotonic() - began,
    )  # fmt: skip


@cache
def _began() -> float:
    """When the first check began: what a test run did before it is none of the model's time."""
    return time.monotonic()


def _run(place: str, *argv: str) -> str:
    left = max(1.0, min(SECONDS, CAP_SECONDS - (time.monotonic() - _began())))
    done = subprocess.run(argv, cwd=place, capture_output=True, text=True, timeout=left, check=False)
    if done.returncode and argv[0] != "./pan":
        raise RuntimeError(f"{argv[0]} failed: {done.stderr[-500:] or done.stdout[-500:]}")
    return done.stdout


def main() -> int:
    if lacks := missing():
        sys.stdout.write(f"Nothing was proved: {lacks} is not installed.\n")
        return 2
    good = True
    for one in everything():
        good &= one.as_it_must
        verdict = "refuted" if one.refuted else "holds" if one.complete else "not finished"
        mark = "" if one.as_it_must else "   <-- must not be"
        row = f"{one.name:12} {one.claim:6} {one.words:52} {verdict:9} {one.states:>9,} states {one.seconds:5.1f} s"
        sys.stdout.write(row + mark + "\n")
        sys.stdout.flush()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
