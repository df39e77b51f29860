"""Where an archive lies: a folder, or a bucket of an object storage with Object Lock. Each name is written once.

What is put is read back. In a bucket it is locked in compliance mode, so that nobody at all can delete or change it
before its time; a lock that is missing or shorter than demanded is an error, never a warning.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from audit.archive.layout import MANIFESTS, size_of
from audit.refusals import Refusal

CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 30, 4
LEEWAY = timedelta(minutes=5)  # of the clock here and the one there


class NotKept(Refusal):
    """The archive does not answer, holds something else, or does not keep it for as long as demanded."""

    code = "not_archived"
    status = 503


class NoAnswer(NotKept):
    """Nobody knows what it holds: it was not reached."""


@dataclass(frozen=True)
class Held:
    """A file of an archive, its version there, and until when nobody can delete it; None where nothing says so."""

    data: bytes
    version: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Folder:
    """A folder. That nobody deletes from it is up to its file system: append-only or immutable media, or a mirror."""

    root: Path
    lock = "none"

    def put(self, name: str, data: bytes) -> Held:
        """Whole or not at all, never in the place of another; it survives a loss of power from here on."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(file.name, path)
            _settle(path.parent, upto=self.root)
        except OSError as error:
            raise NotKept(f"{path} cannot be written: {error.strerror or error}.") from error
        return _same(name, data, self.get(name))

    def get(self, name: str, version: str = "") -> Held:
        try:
            return Held((self.root / name).read_bytes())
        except OSError as error:
            raise NotKept(f"{self.root / name} cannot be read: {error.strerror or error}.") from error

    def newest(self) -> int:
        """The size of the newest manifest; 0 where there is none."""
        names = (f"{MANIFESTS}{one.name}" for one in (self.root / MANIFESTS).glob("*.json"))
        return max((size for name in names if (size := size_of(name))), default=0)


class Bucket:
    """A bucket of an object storage that speaks S3. Keys, region and address are those of its own library."""

    lock = "compliance"

    def __init__(self, name: str, prefix: str, days: int) -> None:
        import boto3  # only where it is used: it costs memory in every process
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        self.name, self.prefix, self.days = name, prefix, days
        self._unreached, self._refused = BotoCoreError, ClientError
        limits = Config(
            connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": TRIES}
        )
        with self._answering("be reached"):
            self._client = boto3.client("s3", config=limits)

    def put(self, name: str, data: bytes) -> Held:
        """Locked from the moment that it is there; for longer, where an archive that was cut short had put it."""
        until = datetime.now(UTC) + timedelta(days=self.days)
        where = {"Bucket": self.name, "Key": self._key(name)}
        locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        with self._answering(f"take {name} and lock it", unless="PreconditionFailed"):
            self._client.put_object(**where, Body=data, IfNoneMatch="*", **locked)
        held, _ = self._read(name)
        _same(name, data, held)
        if held.until is not None and held.until < until - LEEWAY:
            with self._answering(f"lock {name} for longer"):
                longer = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
                self._client.put_object_retention(**where, VersionId=held.version, Retention=longer)
            held, _ = self._read(name, held.version)
        return self._locked(name, held, until)

    def get(self, name: str, version: str = "") -> Held:
        """This version of it, or the newest; NotKept where its lock ends before the demanded days after it was put."""
        held, put_at = self._read(name, version)
        return self._locked(name, held, put_at + timedelta(days=self.days))

    def newest(self) -> int:
        """The size of the newest manifest; 0 where there is none."""
        with self._answering("list its manifests"):
            listed = self._client.get_paginator("list_objects_v2")
            pages = listed.paginate(Bucket=self.name, Prefix=self._key(MANIFESTS))
            keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        names = (MANIFESTS + key.rpartition("/")[2] for key in keys)
        return max((size for name in names if (size := size_of(name))), default=0)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _read(self, name: str, version: str = "") -> tuple[Held, datetime]:
        """What is there, and when it was put."""
        which = {"VersionId": version} if version else {}
        with self._answering(f"give {name}"):
            answer = self._client.get_object(Bucket=self.name, Key=self._key(name), **which)
            data = answer["Body"].read()
        until = (
            answer.get("ObjectLockRetainUntilDate") if answer.get("ObjectLockMode") == "COMPLIANCE" else None
        )
        return Held(data, answer.get("VersionId", ""), until), answer["LastModified"]

    def _locked(self, name: str, held: Held, until: datetime) -> Held:
        if held.until is None:
            raise NotKept(f"The bucket {self.name} does not lock {name} in compliance mode.")
        if held.until < until - LEEWAY:
            raise NotKept(
                f"The bucket {self.name} keeps {name} until {held.until:%Y-%m-%d} only;"
                f" {self.days} days are demanded, until {until:%Y-%m-%d}."
            )
        return held

    @contextlib.contextmanager
    def _answering(self, what: str, *, unless: str = "") -> Iterator[None]:
        try:
            yield
        except self._refused as error:
            if not unless or error.response["Error"]["Code"] != unless:
                raise NotKept(f"The bucket {self.name} does not {what}: {error}") from error
        except self._unreached as error:
            raise NoAnswer(f"The bucket {self.name} does not answer: {error}") from error


Place = Folder | Bucket


def address_of(raw: str) -> str:
    """The one way to write where an archive lies, as entries name it."""
    return raw.rstrip("/") if raw.startswith("s3://") else str(Path(raw).resolve())


def place(address: str, *, days: int) -> Place:
    """What an address names: a folder, or `s3://BUCKET/PREFIX`, which keeps each object for so many days."""
    parts = urlsplit(address)
    if parts.scheme == "s3":
        return Bucket(parts.netloc, parts.path.strip("/"), days)
    return Folder(Path(address))


def _same(name: str, data: bytes, held: Held) -> Held:
    if held.data != data:
        raise NotKept(
            f"The archive holds another {name}: it is of another log, or this log is not what it was."
        )
    return held


def _settle(folder: Path, *, upto: Path) -> None:
    """Names in these folders survive a loss of power."""
    for one in (folder, *folder.parents):
        handle = os.open(one, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if one == upto:
            break
