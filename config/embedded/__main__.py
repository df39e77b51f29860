"""`python -m config.embedded`: what `manage.py up` becomes."""

import argparse
import os
import signal
import sys
from pathlib import Path

from config.embedded.layout import Layout
from config.embedded.process import MARKER, die_with_parent
from config.embedded.supervisor import Options, Supervisor
from config.environment import Environment, read_or_exit


def _parser(env: Environment) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="up", description="Run everything on this machine.")
    parser.add_argument("--data", type=Path, default=env.data_dir)
    parser.add_argument("--host", default=env.host)
    parser.add_argument("--port", type=int, default=env.port)
    parser.add_argument("--demo", action="store_true", default=env.demo)
    parser.add_argument("--play", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--with-parent", action="store_true")
    return parser


def main() -> int:
    env = read_or_exit()
    given = _parser(env).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.with_parent:
        die_with_parent(signal.SIGTERM)
    data = given.data.resolve()
    if os.environ.get(MARKER) != str(
        data
    ):  # what is forked shows the environment that this process began with
        argv = [sys.executable, "-m", "config.embedded", *sys.argv[1:]]
        os.execve(sys.executable, argv, {**os.environ, MARKER: str(data), "PYTHONUNBUFFERED": "1"})  # noqa: S606 - no shell
    options = Options(
        host=given.host, port=given.port, demo=given.demo, play=given.play, fast=given.fast, json=given.json
    )
    try:
        Supervisor(Layout(data), options, env).run()
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, OSError) as error:
        print(f"\nNot started: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
