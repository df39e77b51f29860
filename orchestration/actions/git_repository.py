"""Reaches one repository for a step: through the door out, or below the operator's folder. Reads and compares.

It must never follow a redirect, read a configuration of the machine, or write a ref without its expected old value.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dulwich.client import AbstractHttpGitClient, LocalGitClient
from dulwich.config import ConfigFile
from dulwich.errors import ChecksumMismatch, GitProtocolError, HangupException, NotGitRepository
from dulwich.file import FileLocked
from dulwich.object_store import PackCapableObjectStore
from dulwich.objects import ZERO_SHA, ObjectID, ShaFile
from dulwich.pack import UnpackedObject, pack_objects_to_data
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo

from orchestration.actions import egress, web
from orchestration.actions.base import Context, Failed
from orchestration.actions.git import ROOT

T = TypeVar("T")
# What dulwich ends in when the other side speaks another language, or breaks off.
NONSENSE = (
    GitProtocolError, ChecksumMismatch, HangupException, OSError, LookupError, ValueError, TypeError,
    AssertionError, EOFError, zlib.error, struct.error,
)  # fmt: skip
PACK_BYTES = 200 << 20  # that a repository may send
SECONDS = 300.0


class Repository:
    """One repository, near or far."""

    def __init__(self, given: Mapping[str, Any], context: Context) -> None:
        self.shown = given["repository"]
        if self.shown.startswith("http"):
            place = egress.place(self.shown)
            auth = given.get("auth")
            headers = web.basic(auth["user"], auth["password"], context) if auth else {}
            self._client: AbstractHttpGitClient | LocalGitClient = _Client(context, self.shown, headers)
            self._path = place.target
        else:
            self._client = LocalGitClient(config=ConfigFile(), quiet=True)
            self._path = str(_below_root(self.shown.removeprefix("file://")))

    def refs(self) -> dict[bytes, bytes]:
        """Every ref, and where it stands; an annotated tag also as what it is of, with `^{}` behind its name."""
        found = self._call(lambda: self._client.get_refs(self._path.encode()))
        return {bytes(name): bytes(value) for name, value in found.refs.items() if value is not None}

    def fetch(self, commit: bytes, *, depth: int | None = None) -> PackCapableObjectStore:
        """The commit with its history, or with as much of it as `depth` says."""
        repo = MemoryRepo()
        file, done, abort = repo.object_store.add_pack()
        left = PACK_BYTES

        def write(data: bytes) -> int:
            nonlocal left
            left -= len(data)
            if left < 0:
                raise Failed(f"{self.shown} sends more than {PACK_BYTES} bytes; nothing was changed.")
            return file.write(data)

        def wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
            return [ObjectID(commit)]

        near = isinstance(self._client, LocalGitClient)
        try:
            self._call(
                lambda: self._client.fetch_pack(
                    self._path.encode(), wants, repo.get_graph_walker(), write, depth=None if near else depth
                )
            )
            done()
        except BaseException:
            abort()
            raise
        return repo.object_store

    def move(self, ref: bytes, *, old: bytes, new: bytes, objects: Sequence[ShaFile]) -> None:
        """Set a ref that stands at `old` (nothing: is not there) to `new`: compared there, by the repository itself."""

        def update(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            stands = refs.get(Ref(ref), ZERO_SHA)
            if stands != (old or ZERO_SHA):
                raise Failed(f"{ref.decode()} has moved to {stands.decode()} meanwhile; nothing was changed.")
            return {Ref(ref): ObjectID(new)}

        def pack(*_: Any, **__: Any) -> tuple[int, Iterator[UnpackedObject]]:
            return pack_objects_to_data(list(objects))

        result = self._call(lambda: self._client.send_pack(self._path.encode(), update, pack))
        refused = (result.ref_status or {}).get(Ref(ref))
        if refused:
            raise Failed(f"{self.shown} refuses {ref.decode()}: {str(refused)[:300]}; nothing was changed.")

    def _call(self, asked: Callable[[], T]) -> T:
        try:
            return asked()
        except NotGitRepository:
            raise Failed(
                f"{self.shown} is no Git repository that can be read; nothing was changed."
            ) from None
        except FileLocked:
            raise Failed(
                f"Somebody else writes to {self.shown} at this moment; nothing was changed."
            ) from None
        except NONSENSE as error:
            words = f"{type(error).__name__}: {error}"[:300]
            raise Failed(f"{self.shown} could not be spoken to ({words}).") from None


def _below_root(text: str) -> Path:
    """A path below the operator's folder, after all links."""
    root = os.environ.get(ROOT, "")
    if not root:
        raise Failed(f"Repositories by path need {ROOT}, which the operator has not set; nothing was done.")
    path = Path(text).resolve()
    if not path.is_relative_to(Path(root).resolve()):
        raise Failed(f"{text} is not below the folder for repositories; nothing was done.")
    return path


class _Answered:
    """What dulwich wants to know of an answer."""

    redirect_location = ""

    def __init__(self, answer: web.Answer) -> None:
        self.status, self.headers = answer.status, answer.headers
        self.content_type = answer.headers.get("content-type")

    def close(self) -> None:
        """It was read whole."""


class _Client(AbstractHttpGitClient):
    """Git's own protocol over our own requests."""

    def __init__(self, context: Context, url: str, headers: Mapping[str, str]) -> None:
        place = egress.place(url)
        super().__init__(f"{place.scheme}://{place.authority}/", quiet=True)
        self.context, self.sent = context, dict(headers)

    def _get_url(self, path: str | bytes) -> str:
        text = path.decode() if isinstance(path, bytes) else path
        return self._base_url + text.strip("/") + "/"

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,
    ) -> Any:
        body = data if isinstance(data, bytes) else b"".join(data or ())
        plain = {name: value for name, value in (headers or {}).items() if name.lower() != "content-length"}
        answer = web.send(
            self.context, "GET" if data is None else "POST", egress.place(url),
            headers={**plain, **self.sent}, body=body, seconds=SECONDS, most=PACK_BYTES,
        )  # fmt: skip
        if answer.status in {401, 403}:
            raise Failed(f"{self._base_url} does not let us in (status {answer.status}).")
        if answer.status == 404:
            raise NotGitRepository
        if answer.status != 200 or not answer.whole:
            raise GitProtocolError(
                f"status {answer.status}{'' if answer.whole else ', and too long an answer'}"
            )
        return _Answered(answer), io.BytesIO(answer.body).read
