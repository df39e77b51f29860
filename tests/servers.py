"""A pytest plugin: one real PostgreSQL and one real Valkey for the whole run, gone at its end.

Loaded with `-p`, before Django reads its settings. The workers of xdist inherit the addresses.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from config.embedded import postgres, valkey
from config.embedded.layout import Layout
from config.embedded.process import MARKER, Child

_children: list[Child] = []
_home: Path | None = None


def start() -> None:
    """Start both and put their addresses into the environment; the caller's own settings must not leak in."""
    global _home
    for name in [name for name in os.environ if name.startswith("COUNTERSIGN_")]:
        del os.environ[name]
    _home = Path(tempfile.mkdtemp(prefix="countersign-test-"))
    layout = Layout(_home)
    layout.make()
    postgres.prepare(layout)
    env = {**os.environ, MARKER: str(layout.data)}
    database = postgres.child(layout, env=env, max_connections="200", **postgres.FAST)
    _up(database, lambda: postgres.is_ready(layout))
    _up(valkey.child(layout, env=env), lambda: valkey.is_ready(layout))
    os.environ["COUNTERSIGN_DATA_DIR"] = str(_home)
    os.environ["COUNTERSIGN_SECRET_KEY"] = "only for tests, and long enough for the check of its length"
    os.environ["COUNTERSIGN_DATABASE_URL"] = (
        f"postgres://countersign@/countersign?host={quote(str(layout.run), safe='')}"
    )
    os.environ["COUNTERSIGN_BROKER_URL"] = f"redis+socket://{layout.valkey_socket}?virtual_host=0"
    os.environ["COUNTERSIGN_CHANNEL_URL"] = f"unix://{layout.valkey_socket}?db=1"


def stop() -> None:
    """Stop both and remove their files."""
    for child in reversed(_children):
        child.stop()
    _children.clear()
    if _home is not None:
        shutil.rmtree(_home, ignore_errors=True)


def _up(child: Child, ready: Callable[[], bool]) -> None:
    child.start()
    _children.append(child)
    deadline = time.monotonic() + 30
    while not ready():
        if not child.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"{child.name} did not come up: {child.log.read_text()[-2000:]}")
        time.sleep(0.05)


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        stop()


if (worker := os.environ.get("PYTEST_XDIST_WORKER")) is None:
    start()
else:  # each test process has its own database, and so its own log, and so its own signer
    os.environ["COUNTERSIGN_KEY_DIR"] = str(Path(os.environ["COUNTERSIGN_DATA_DIR"]) / f"keys-{worker}")
