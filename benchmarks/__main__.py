"""One command, one table: `python -m benchmarks [NAME ...] [--json FILE]`. Each family gets a product of its own."""

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from secrets import token_hex

from tests.stack import ROOT, Stack, running

RUNNING = ("memory", "start", "signoffs", "steps", "runs", "logs")  # time the product that runs
NOTHING = ("offline",)  # needs neither product nor database
ALONE = ("policy", "waiting", "ledger", "explorer", "controls")  # write to a database of their own
ONE = "--one"  # a family in a process of its own: it is configured for one database


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join((*RUNNING, *ALONE, *NOTHING))}; else all"
    )
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="of the family `runs`; else 1000")
    parser.add_argument(
        "--entries",
        type=int,
        default=1_000_000,
        metavar="N",
        help="of `explorer` and `offline`; else 1000000",
    )
    parser.add_argument("--json", type=Path, help="keep the rows in this file, too")
    asked = parser.parse_args()
    names = asked.names or (*RUNNING, *ALONE, *NOTHING)
    if wrong := set(names) - {*RUNNING, *ALONE, *NOTHING}:
        parser.error(f"There is no benchmark {', '.join(sorted(wrong))}. Nothing was measured.")
    os.environ |= {"BENCH_RUNS": str(asked.runs), "BENCH_ENTRIES": str(asked.entries)}
    rows = []
    for name in names:
        print(f"\n{name}", flush=True)
        if name in NOTHING:
            measured = _told(name, dict(os.environ))
        else:
            with running(demo=False, durable=True) as stack:
                measured = _measured(name, stack)
        for row in measured:
            print(f"  {row['name']:<70} {row['value']:>12,.2f} {row['unit']}", flush=True)
        rows += measured
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


def _measured(name: str, stack: Stack) -> list[dict[str, object]]:
    env = {
        **os.environ,
        "COUNTERSIGN_DATA_DIR": str(stack.home),
        "COUNTERSIGN_RUN_DIR": str(stack.layout.run),
    }
    if name in ALONE:
        stack.query(f"CREATE DATABASE bench_{name}")
        env["COUNTERSIGN_DATABASE_URL"] = stack.database(f"bench_{name}")
        # Keys of its own: the product's signer would not sign another log.
        env |= {"COUNTERSIGN_KEY_DIR": str(stack.home / name), "COUNTERSIGN_SECRET_KEY": token_hex(32)}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=env, cwd=ROOT, check=True)
    return _told(name, env)


def _told(name: str, env: dict[str, str]) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "benchmarks", ONE, name]
    done = subprocess.run(command, env=env, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    told: list[dict[str, object]] = json.loads(done.stdout)
    return told


def _one(name: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    rows = import_module(f"benchmarks.{name}").run()
    print(json.dumps([row.told() for row in rows]))


if __name__ == "__main__":
    _one(sys.argv[2]) if sys.argv[1:2] == [ONE] else main()
