#!/usr/bin/env python3
"""A step that does with its secret whatever a careless script does, in every form; `leak.py HOW`."""

import base64
import json
import os
import pathlib
import resource
import shlex
import sys
import time
from urllib.parse import quote, quote_plus

VALUE = (pathlib.Path(os.environ["STEP_SECRETS"]) / "CANARY").read_text()
RAW = VALUE.encode()


def forms():
    for before in (b"", b"x", b"xx"):
        yield base64.b64encode(before + RAW + b"y").decode()
        yield base64.urlsafe_b64encode(before + RAW).decode()
    yield from (VALUE, base64.encodebytes(RAW).decode(), RAW.hex(), RAW.hex().upper(), quote(VALUE, safe=""))
    yield from (quote_plus(VALUE), json.dumps({"it": VALUE}), shlex.quote(VALUE), repr(VALUE))


def slowly(text):
    for at in range(0, len(text), 5):
        os.write(1, text[at : at + 5].encode())
        time.sleep(0.001)
    os.write(1, b"\n")


def others():
    """In how many arguments and environments of this machine's processes it stands."""
    found = 0
    for process in [one for one in pathlib.Path("/proc").iterdir() if one.name.isdigit()]:
        for name in ("cmdline", "environ"):
            try:  # processes come and go meanwhile
                found += RAW in (process / name).read_bytes()
            except OSError:
                continue
    return found


def lying():
    """How many files of the step's own folders hold it, beside those that it was given."""
    place = pathlib.Path.cwd().parent
    return sum(RAW in one.read_bytes() for one in place.rglob("*") if one.is_file())


def main(how):
    for one in forms():
        print(one)
        print(one, file=sys.stderr)
    sys.stdout.flush()
    slowly(VALUE)
    if how == "fail":
        how = "crash" if os.environ["STEP_ATTEMPT"] == "1" else "reason"
    if how == "outputs":
        told = {f"n{number}": one for number, one in enumerate(forms())}
        told |= {
            VALUE: "as a name",
            "others": others(),
            "lying": lying(),
            "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        }
        folder = pathlib.Path(os.environ["STEP_SECRETS"])
        told |= {"folder": oct(folder.stat().st_mode), "file": oct((folder / "CANARY").stat().st_mode)}
        told |= {
            "open": len(list(pathlib.Path("/proc/self/fd").iterdir())) - 1,
            "names": " ".join(sorted(os.environ)),
        }
        pathlib.Path(os.environ["STEP_OUTPUTS"]).write_text(json.dumps(told))
    elif how == "reason":
        pathlib.Path(os.environ["STEP_REASON"]).write_text(
            f"The password {VALUE} was not taken: {RAW.hex()}."
        )
        sys.exit(1)
    elif how == "crash":
        raise RuntimeError(f"cannot sign in with {VALUE}")
    elif how == "wait":
        pathlib.Path(sys.argv[2]).write_text("begun")
        while not pathlib.Path(sys.argv[3]).exists():
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1])
