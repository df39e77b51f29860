"""Where the embedded servers keep their things, and as whom they run. Decides paths only; starts nothing.

Everything lies in the data directory, also where the servers run as another uid that cannot walk down to it: they
are started inside their folder and name all else relative to it, which needs no right on the folders above.
"""

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

SOCKET_FOLDER_MAX = 90  # bytes; the kernel's limit is 107, and PostgreSQL appends a name
STAGE = Path("/var/cache/countersign")  # root's, so nobody else can have put anything there
SIDES = {"chain": "web", "signoff": "web", "permit": "worker", "policy": "worker"}  # whose key each was
TEMPORARY = Path("/tmp")  # noqa: S108 - the same for every process; TMPDIR is not


@dataclass(frozen=True)
class Layout:
    """The folders of one data directory."""

    data: Path

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def table(self) -> Path:
        """The pids of what runs, for tools and tests."""
        return self.data / "processes.json"

    @property
    def seeded(self) -> Path:
        """Exists when the demo bank was seeded to its end."""
        return self.data / "seeded"

    @property
    def uid(self) -> int:
        """PostgreSQL refuses to run as root, and wants a uid that has a name: `nobody` is on every system."""
        return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()

    @property
    def servers(self) -> Path:
        """What the servers own. Their sockets are in `run` beside their own folders."""
        return self.data / "servers"

    @property
    def sockets(self) -> Path:
        return self.servers / "run"

    @property
    def run(self) -> Path:
        """The sockets by a path that is short enough to connect to: a link where the real one is not."""
        if len(os.fsencode(self.sockets)) <= SOCKET_FOLDER_MAX:
            return self.sockets
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return TEMPORARY / f"countersign-{os.geteuid()}-{digest}"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "valkey.sock"

    def make(self) -> None:
        """Create what is missing, private to whom it serves."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.keys, self.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.servers, self.sockets, self.servers / "postgres", self.servers / "valkey"):
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, self.uid, self.uid)
            folder.chmod(0o700)
        self._shorten()
        self._secret("secret_key")
        self._part_keys()

    def readable(self, package: Path) -> Path:
        """`package`, or a copy of it where the servers' uid can read."""
        if os.geteuid() != 0 or _all_may_read(package / "__init__.py"):
            return package
        digest = hashlib.sha256(os.fsencode(package)).hexdigest()[:10]
        home = STAGE / f"{digest}-{package.stat().st_mtime_ns}"
        if not (home / package.name).is_dir():
            _stage(package, home)
        return home / package.name

    def _shorten(self) -> None:
        if self.run == self.sockets:
            return
        with contextlib.suppress(FileExistsError):
            self.run.symlink_to(self.sockets)
        if self.run.lstat().st_uid != os.geteuid() or self.run.resolve() != self.sockets.resolve():
            raise PermissionError(
                f"{self.run} is somebody else's; nothing was started. Remove it, try again."
            )

    def _part_keys(self) -> None:
        """Keys of an older installation lay in one folder; each goes to the side that signs with it."""
        for purpose, side in SIDES.items():
            old = self.keys / f"{purpose}.key"
            for path, to in ((old.with_suffix(".pub"), self.keys / "public" / side), (old, self.keys / side)):
                if path.exists():
                    to.mkdir(mode=0o700, parents=True, exist_ok=True)
                    path.rename(to / path.name)

    def _secret(self, name: str) -> None:
        path = self.keys / name
        if path.exists() and path.stat().st_size:
            return
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        draft.rename(path)


def _all_may_read(file: Path) -> bool:
    """Whether any uid may walk down to `file` and read it; as a program where a folder of programs is private."""
    walkable = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.resolve().parents)
    return walkable and bool(file.stat().st_mode & stat.S_IROTH)


def _stage(package: Path, home: Path) -> None:
    """Copy the package and the libraries that its programs find by a relative path; drop older copies of it."""
    STAGE.mkdir(mode=0o755, parents=True, exist_ok=True)
    part = STAGE / f"{home.name}.{os.getpid()}.part"
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, part / folder.name, symlinks=True)
    for path in (STAGE, part, *part.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644))
    for old in STAGE.glob(f"{home.name.partition('-')[0]}-*"):
        if old != part:
            shutil.rmtree(old, ignore_errors=True)
    part.rename(home)
