"""Secrets in HashiCorp Vault or OpenBao: the key-value engine, version 2, by HTTP with a token from a file.

To know the newest version takes a token that reads metadata; only the opener reads data, with another. Knows no
Django. It must never follow a redirect with a token, nor repeat what the Vault says: an error may hold a value.
"""

from pathlib import Path
from typing import Any

import httpx

from orchestration.secrets.provider import Gone, Unreachable

TIMEOUT_SECONDS = 5.0
LATER = {408, 412, 429, 472, 473}  # busy, behind, or a standby; 5xx too: 503 is a sealed Vault


def current(given: dict[str, Any]) -> str:
    """The newest version, by its metadata."""
    path, _ = _parts(given["source"])
    known = _ask(given, f"metadata/{path}", {})
    number = int(known.get("current_version", 0))
    newest = known.get("versions", {}).get(str(number), {})
    if not number or newest.get("destroyed") or newest.get("deletion_time"):
        raise Gone("it has no version that can be read")
    return str(number)


def value(given: dict[str, Any]) -> bytes:
    """In the opener only: one field of exactly this version."""
    path, field = _parts(given["source"])
    found = _ask(given, f"data/{path}", {"version": given["version"]})
    if str(found.get("metadata", {}).get("version")) != given["version"]:
        raise Gone(f"version {given['version']} was asked for and another came")
    text = (found.get("data") or {}).get(field)
    if not isinstance(text, str):
        raise Gone(f"it has no text under {field}")
    return text.encode()


def _ask(given: dict[str, Any], path: str, query: dict[str, str]) -> dict[str, Any]:
    """The `data` of an answer. One that says no is final; one that does not come is not."""
    try:
        token = Path(given["token_file"]).read_text().strip()
    except OSError:
        raise Unreachable("the file with the Vault's token cannot be read") from None
    address = f"{given['address'].rstrip('/')}/v1/{given['mount'].strip('/')}/{path}"
    headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
    verify = given["ca_file"] or True
    try:
        with httpx.Client(verify=verify, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            answer = client.get(address, params=query, headers=headers)
    except (httpx.HTTPError, OSError):
        raise Unreachable("the Vault does not answer") from None
    return _judged(answer)


def _judged(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code in LATER or answer.status_code >= 500:
        raise Unreachable(f"the Vault answers with status {answer.status_code}")
    if answer.status_code == 403:
        raise Gone("the Vault's token may not read it")
    if answer.status_code != 200:
        raise Gone("the Vault does not have this version")
    try:
        found = answer.json()["data"]
    except (ValueError, KeyError, TypeError):
        raise Unreachable("what answers is no Vault") from None
    if not isinstance(found, dict):
        raise Unreachable("what answers is no Vault")
    return found


def _parts(source: str) -> tuple[str, str]:
    """`payments/db#password`: a path and a field of it."""
    path, _, field = source.partition("#")
    return path, field or "value"
