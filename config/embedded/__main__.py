"""`python -m config.embedded`: what `manage.py up` becomes."""

import argparse
import signal
import sys
from pathlib import Path

from config.embedded.layout import Layout
from config.embedded.process import die_with_parent
from config.embedded.supervisor import Options, Supervisor
from config.environment import Environment, read_or_exit


def _parser(env: Environment) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="up", description="Run everything on this machine.")
    parser.add_argument("--data", type=Path, default=env.data_dir)
    parser.add_argument("--host", default=env.host)
    parser.add_argument("--port", type=int, default=env.port)
    parser.add_argument("--demo", action="store_true", default=env.demo)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--with-parent", action="store_true")
    return parser


def main() -> int:
    env = read_or_exit()
    given = _parser(env).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.with_parent:
        die_with_parent(signal.SIGTERM)
    options = Options(host=given.host, port=given.port, demo=given.demo, fast=given.fast)
    try:
        Supervisor(Layout(given.data.resolve()), options, env).run()
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, OSError) as error:
        print(f"\nNot started: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
