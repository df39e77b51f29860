"""Opens the secrets of one step: `python -I opener.py FILE`, a child of the step's supervisor that lives for a moment.

FILE says what to open and where; the values go into a private directory in memory, one file for each name, and to the
supervisor by pipe, which masks them in whatever the step prints. It must never write a value anywhere else, nor say
one in an error.
"""

import base64
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # an isolated interpreter: it must find this package, and nothing else
    sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestration.secrets.provider import Gone, Unreachable, fault

PROVIDERS = {"store": "envelope", "files": "files", "vault": "vault"}


def main(file: str) -> None:
    """Answer with the values, or with why there are none and whether to try again."""
    given = json.loads(Path(file).read_text())
    values: list[str] = []
    try:
        for one in given["secrets"]:
            value = value_of(one)
            _keep(Path(given["directory"]) / one["name"], value)
            values.append(base64.b64encode(value).decode())
    except (Unreachable, Gone) as problem:
        said = f"{one['path']} could not be opened, so the step was not started: {problem}."
        answer: dict[str, Any] = {"problem": said, "again": isinstance(problem, Unreachable)}
    except OSError as error:
        answer = {"problem": f"The secrets could not be laid out: {error.strerror}.", "again": True}
    else:
        answer = {"values": values}
    sys.stdout.write(json.dumps(answer))


def value_of(one: dict[str, Any]) -> bytes:
    """Each place knows how to open what it keeps; only the one that is asked is imported."""
    value: bytes = import_module(f"orchestration.secrets.{PROVIDERS[one['provider']]}").value(one)
    if problem := fault(value):
        raise Gone(problem.rstrip("."))
    return value


def _keep(path: Path, value: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(value)
    path.chmod(0o400)


if __name__ == "__main__":
    main(sys.argv[1])
