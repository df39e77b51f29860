"""`python -m config.embedded`: what `manage.py up` becomes."""

import argparse
import os
import signal
import sys
from pathlib import Path

from config.embedded.layout import Layout
from config.embedded.process import die_with_parent
from config.embedded.supervisor import ROOT, Options, Supervisor


def _parser() -> argparse.ArgumentParser:
    env = os.environ
    parser = argparse.ArgumentParser(prog="up", description="Run everything on this machine.")
    parser.add_argument("--data", type=Path, default=Path(env.get("COUNTERSIGN_DATA_DIR") or ROOT / ".data"))
    parser.add_argument("--host", default=env.get("COUNTERSIGN_HOST") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=int(env.get("COUNTERSIGN_PORT") or 8000))
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--with-parent", action="store_true")
    return parser


def main() -> int:
    given = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.with_parent:
        die_with_parent(signal.SIGTERM)
    options = Options(host=given.host, port=given.port, demo=given.demo, fast=given.fast)
    try:
        Supervisor(Layout(given.data.resolve()), options).run()
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, OSError) as error:
        print(f"\nNot started: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
