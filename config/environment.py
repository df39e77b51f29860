"""Every setting of the environment: its name, what it means, what it may be. One prefix: COUNTERSIGN_.

Knows no Django, so that the supervisor reads it too. Tells all problems at once; never guesses what was meant.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "COUNTERSIGN_"
ROOT = Path(__file__).resolve().parent.parent
# What processes of the product tell each other; not for people.
INTERNAL = {PREFIX + name for name in ("UP", "RUN", "BOOT", "FAILPOINT")}
EXPORTS = ("csv", "xlsx", "pdf", "oscal", "bundle", "dsse")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Misconfigured(ValueError):
    """The environment says what cannot be."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["Countersign is not configured:", *(f"  - {one}" for one in problems)]))
        self.problems = problems


def _text(raw: str) -> str:
    return raw


def _path(raw: str) -> Path:
    return Path(raw).expanduser()


def _items(raw: str) -> tuple[str, ...]:
    return tuple(item for part in raw.split(",") if (item := part.strip()))


def _owners(raw: str) -> tuple[tuple[str, str], ...]:
    found = [one.rpartition("=") for one in _items(raw)]
    if any(
        (key and not re.fullmatch(r"CT-[0-9]{2}", key.strip())) or not name.strip() for key, _, name in found
    ):
        raise ValueError("must be names, or CT-05=NAME for one control test, apart by commas")
    return tuple((key.strip(), name.strip()) for key, _, name in found)


def _flag(raw: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if raw.lower() not in words:
        raise ValueError("must be 1 or 0")
    return words[raw.lower()]


def _level(raw: str) -> str:
    if raw.upper() not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return raw.upper()


def _side(raw: str) -> str:
    if raw not in {"web", "worker"}:
        raise ValueError("must be web or worker")
    return raw


def _profile(raw: str) -> str:
    if raw != "bubblewrap":
        raise ValueError("must be bubblewrap, or nothing")
    return raw


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not least <= int(raw) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(raw)

    return parse


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = -1
        if not least <= value <= most:  # also refuses NaN
            raise ValueError(f"must be seconds from {least:g} to {most:g}")
        return value

    return parse


def _users(raw: str) -> tuple[int, int]:
    first, _, last = raw.partition("-")
    if not first.isdigit() or not last.isdigit() or not 1000 <= int(first) <= int(last) < 1 << 31:
        raise ValueError("must be two numbers from 1000 on such as 61184-61439")
    return int(first), int(last)


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if urlsplit(raw).scheme not in schemes:  # the value is not repeated: it may hold a password
            raise ValueError(
                f"must be an address that begins with {', '.join(f'{one}://' for one in schemes)}"
            )
        return raw

    return parse


def _repository(raw: str) -> str:
    """An address may hold a password, so it is not repeated."""
    known = urlsplit(raw).scheme in {"https", "http", "file"} and "://" in raw
    if not known and not Path(raw).is_absolute():
        raise ValueError(
            "must be an absolute path, or an address that begins with https://, http:// or file://"
        )
    return raw


def _pack(raw: str) -> tuple[str, ...]:
    if unknown := sorted(set(_items(raw)) - set(EXPORTS)):
        raise ValueError(f"must be some of {', '.join(EXPORTS)}, and not {', '.join(unknown)}")
    return _items(raw)


def _storage(raw: str) -> str:
    parts = urlsplit(raw)
    if not (parts.scheme == "s3" and parts.netloc and not parts.query) and not Path(raw).is_absolute():
        raise ValueError("must be an absolute path, or s3://BUCKET/PREFIX")
    return raw


def _setting(
    parse: Callable[[str], Any], default: Any, says: str, *, secret: bool = False, plain: bool = False
) -> Any:
    """`secret` may come from a file (`_FILE`); `plain` is also known without the prefix."""
    return field(default=default, metadata={"parse": parse, "says": says, "secret": secret, "plain": plain})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the environment said, or the defaults."""

    data_dir: Path = _setting(_path, ROOT / ".data", "Where the embedded servers, keys and logs lie.")
    key_dir: Path | None = _setting(_path, None, "Where the keys lie; default: `keys` in the data directory.")
    signs_as: str = _setting(
        _side, "", "Whose keys a process signs with: web or worker; nothing for a terminal. `up` sets it."
    )
    run_dir: Path | None = _setting(_path, None, "Where the embedded servers' sockets are; set by `up`.")
    host: str = _setting(_text, "127.0.0.1", "The address on which `up` listens.")
    port: int = _setting(_whole(0, 65535), 8000, "The port on which `up` listens; 0 takes any free one.")
    worker_processes: int = _setting(_whole(1, 64), 2, "Processes of the worker that `up` starts.")

    secret_key: str = _setting(_text, "", "Signs sessions; made at the first embedded start.", secret=True)
    database_url: str = _setting(
        _url("postgres", "postgresql"), "", "A PostgreSQL of one's own, 15 or newer.", secret=True, plain=True
    )
    app_database_url: str = _setting(
        _url("postgres", "postgresql"),
        "",
        "As whom `up` lets web and workers connect to it; default: as the former.",
        secret=True,
    )
    sequencer_database_url: str = _setting(
        _url("postgres", "postgresql"),
        "",
        "As whom `up` lets the sequencer connect to it; default: as the former.",
        secret=True,
    )
    broker_url: str = _setting(
        _url("redis", "rediss", "redis+socket", "amqp", "amqps"),
        "",
        "A broker of one's own: Valkey, Redis or RabbitMQ.",
        secret=True,
        plain=True,
    )
    channel_url: str = _setting(
        _url("redis", "rediss", "unix"), "", "A channel layer of one's own.", secret=True, plain=True
    )

    demo: bool = _setting(_flag, False, "Allows switching between the demo bank's people without a password.")
    organisation: str = _setting(_text, "Countersign", "The name in the header.")
    allowed_hosts: tuple[str, ...] = _setting(
        _items, ("localhost", "127.0.0.1", "[::1]"), "Host names under which the product is reached."
    )
    trusted_origins: tuple[str, ...] = _setting(
        _items, (), "Origins that may post, where a proxy changes them."
    )
    security_contact: str = _setting(_text, "", "mailto: or https:, for security.txt.")
    https: bool = _setting(_flag, False, "Reached by HTTPS: cookies are Secure, HSTS is sent.")
    step_up_minutes: int = _setting(
        _whole(1, 480), 60, "How old a sign-in may be when somebody decides about a protected environment."
    )
    directory_fresh_hours: int = _setting(
        _whole(1, 720), 24, "How long it is known who is in a team, after its directory told."
    )
    log_level: str = _setting(_level, "WARNING", "How much the processes say.")
    git_root: Path | None = _setting(
        _path, None, "The folder below which git steps may use repositories by path; nothing: none."
    )
    http_allowed_hosts: tuple[str, ...] = _setting(
        _items,
        (),
        "Private hosts that steps and destinations may reach, by name, or all below a domain as `.bank.internal`.",
    )
    terraform_mirror: Path | None = _setting(
        _path, None, "Where the providers of Terraform and OpenTofu lie: then they come from nowhere else."
    )
    open_changes: int = _setting(
        _whole(1, 1_000_000), 2000, "Changes of one requester that may be open before their start at once."
    )
    api_rate: int = _setting(_whole(1, 1_000_000), 1200, "API requests a minute for each account.")
    secrets_folder: Path | None = _setting(
        _path, None, "Where secrets lie as files, for secrets of the provider files."
    )
    vault_address: str = _setting(
        _url("https", "http"), "", "A HashiCorp Vault or OpenBao, for secrets of the provider vault."
    )
    vault_mount: str = _setting(_text, "secret", "Where its key-value engine of version 2 is mounted.")
    vault_token_path: Path | None = _setting(
        _path, None, "A file with the token that reads secrets; read by a step's opener only."
    )
    vault_metadata_token_path: Path | None = _setting(
        _path, None, "A file with a token that reads metadata only, for the web server; default: the former."
    )
    vault_ca_path: Path | None = _setting(_path, None, "Certificates that the Vault's is checked against.")
    policy_processes: int = _setting(
        _whole(1, 64), 2, "Policy processes, each about 40 MB, made when first needed."
    )
    policy_repository: str = _setting(
        _repository,
        "",
        "The Git repository that policy is read from: an https, http or file address, or a path.",
        secret=True,
    )
    policy_branch: str = _setting(_text, "main", "The branch of it.")
    policy_folder: str = _setting(_text, "", "The folder in it; nothing means all of it.")
    ledger_origin: str = _setting(
        _text, "countersign.local/ledger/main", "The name of the log in its checkpoints."
    )

    witnesses: Path | None = _setting(
        _path, None, "A file that names the log's witnesses, and how many must cosign (C2SP tlog-policy)."
    )
    signer_socket: Path | None = _setting(
        _path, None, "Where the log's signer listens; default: `signer.sock` in the folder of sockets."
    )
    log_storage: str = _setting(
        _storage,
        "",
        "Where logs of ended steps go: a folder, or s3://BUCKET/PREFIX; nothing: the database.",
    )
    evidence_years: int = _setting(
        _whole(1, 100),
        7,
        "Years after somebody's last request, sign-off or review in which nobody erases their name.",
    )
    log_days: int = _setting(
        _whole(0, 36_500), 0, "Days after which the logs of a run that has ended are removed; 0: never."
    )
    archive: str = _setting(
        _storage,
        "",
        "Where the ledger is archived each night: a folder, or s3://BUCKET/PREFIX; nothing: nowhere.",
    )
    tsa_url: str = _setting(
        _url("https", "http"),
        "",
        "A timestamp authority (RFC 3161) that sees a checkpoint each day.",
        secret=True,
    )
    tsa_ca_path: Path | None = _setting(
        _path, None, "The certificates (PEM) that its timestamps are checked against; needed with the former."
    )
    archive_days: int = _setting(
        _whole(1, 36_500), 2557, "Days for which a bucket must keep what is archived; 2557 are seven years."
    )

    export_days: int = _setting(
        _whole(0, 36_500), 90, "Days after which the file of an export is removed; 0: never."
    )

    monthly_pack: tuple[str, ...] = _setting(
        _pack,
        (),
        "Exports that are made of each month when it is over, such as pdf,csv,bundle; nothing: none.",
    )

    control_owners: tuple[tuple[str, str], ...] = _setting(
        _owners,
        (),
        "Who owns the control tests: one name for all, and `CT-05=Security` for one; apart by commas.",
    )

    step_memory_mib: int = _setting(
        _whole(16, 1 << 20), 2048, "MiB of memory that a step may use which names no limit."
    )
    step_memory_most_mib: int = _setting(
        _whole(16, 1 << 20), 16_384, "MiB of memory that a workflow may ask for."
    )
    step_processes: int = _setting(
        _whole(1, 1 << 20), 1024, "Processes and threads that a step may have which names no limit."
    )
    step_processes_most: int = _setting(
        _whole(1, 1 << 20), 8192, "Processes and threads that a workflow may ask for."
    )
    step_uids: tuple[int, int] | None = _setting(
        _users,
        None,
        "Users of steps, as 61184-61439: each running step gets one of its own. Needs a root worker.",
    )
    step_profile: str = _setting(
        _profile, "", "bubblewrap: each step runs in a box of namespaces, on a system that it can only read."
    )

    lease_ttl_seconds: float = _setting(_seconds(1, 3600), 30.0, "How long a silent worker keeps its step.")
    heartbeat_seconds: float = _setting(_seconds(0.1, 600), 5.0, "How often a worker says that it lives.")
    poll_seconds: float = _setting(_seconds(0.1, 600), 5.0, "How late work starts without a broker.")
    grace_seconds: float = _setting(_seconds(0, 600), 10.0, "From the request to end to the end of a step.")
    drain_seconds: float = _setting(_seconds(0, 3600), 30.0, "How long a stopping worker lets steps end.")


def read(environ: Mapping[str, str]) -> Environment:
    """The settings; Misconfigured with every problem."""
    problems = list(_unknown(environ))
    values: dict[str, Any] = {}
    for one in fields(Environment):
        try:
            raw = _raw(one, environ)
            if raw:
                values[one.name] = one.metadata["parse"](raw)
        except (ValueError, OSError) as error:
            problems.append(f"{name_of(one)} {error}.")
    found = Environment(**values)
    if found.heartbeat_seconds * 3 > found.lease_ttl_seconds:
        problems.append(f"{PREFIX}LEASE_TTL_SECONDS must be at least three times {PREFIX}HEARTBEAT_SECONDS.")
    if found.tsa_url and found.tsa_ca_path is None:
        problems.append(f"{PREFIX}TSA_URL needs {PREFIX}TSA_CA_PATH: a timestamp that nobody checks is none.")
    if problems:
        raise Misconfigured(problems)
    return found


def read_or_exit() -> Environment:
    """For a process that begins: its settings, or all problems in one message and the exit code 2."""
    try:
        return read(os.environ)
    except Misconfigured as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def name_of(one: "Field[Any]") -> str:
    """How the environment calls it."""
    return PREFIX + one.name.upper()


def _raw(one: "Field[Any]", environ: Mapping[str, str]) -> str:
    """The text that was given: under the name, in the file that it names, or under the plain name."""
    name = name_of(one)
    direct, file = environ.get(name, ""), environ.get(f"{name}_FILE", "") if one.metadata["secret"] else ""
    if direct and file:
        raise ValueError(f"and {name}_FILE are both set; keep one")
    if file:
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ValueError(
                f"cannot be read from {file} ({os.strerror(error.errno or 0).lower()})"
            ) from None
    return direct or (environ.get(one.name.upper(), "") if one.metadata["plain"] else "")


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    """A misspelt setting is not one that was never made."""
    known = {name_of(one) for one in fields(Environment)}
    known |= {f"{name_of(one)}_FILE" for one in fields(Environment) if one.metadata["secret"]}
    for name in sorted(set(environ) - known - INTERNAL):
        if name.startswith(PREFIX):
            near = difflib.get_close_matches(name, known, n=1)
            yield f"{name} is not a setting{f'; {near[0]} is' if near else ''}."
