"""One signed statement for each execution, as admission tools read them: DSSE envelopes of in-toto statements.

Each execution has two: a verification summary (SLSA VSA) that says whether it was authorised, by the control tests that
are about that, and the authorisation itself with its approvals and proofs. Whoever reads one verifies the bytes first,
and then reads those bytes and nothing else of the envelope.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from audit.canonical import canonical
from audit.ledger import proofs
from audit.ledger.merkle import Node
from audit.refusals import NotFound
from audit.reports.approvals import Approval, approvals
from audit.reports.material import Made, Material, new_file

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
AUTHORISATION = "urn:countersign:change-authorization:v0.1"
CONTENT_TYPE = "application/vnd.in-toto.bundle"  # JSON Lines: one envelope a line
GOOD = ("pass", "na", "exception")
AUTHORISED = tuple(
    f"CT-{number:02}" for number in range(1, 8)
)  # the rest is about before and after, and everything else


def make(material: Material) -> Made:
    """The envelopes, two lines for each execution; its entry in the ledger names the key that signed them."""
    file, count, by = new_file(), 0, signer()
    for statement in statements(material):
        file.write(canonical(envelope(canonical(statement), by)) + b"\n")
        count += 1
    name = f"countersign-attestations-{material.signed.size}.intoto.jsonl"
    return Made(file, name, CONTENT_TYPE, count, {"key": by.public_key().public_bytes_raw().hex()})


def statements(material: Material) -> Iterator[dict[str, Any]]:
    """Both statements of each execution, in the order of the log."""
    results, node = _results(material), proofs.reader()
    for run, found in results.items():
        row = next(iter(found.values()))
        subject = [{"name": row["change"], "digest": {"sha256": row["digest"].removeprefix("sha256:")}}]
        for kind, said in (
            (SUMMARY, _summary(material, run, found)),
            (AUTHORISATION, _authorisation(material, row, node)),
        ):
            yield {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": said}


def _results(material: Material) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each run, what each control test found; only tests whose items are runs say something about one."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for control, _, row in material.results():
        if row.get("run") and row.get("digest"):
            found.setdefault(row["run"], {})[f"{control.id} v{control.version}"] = row
    return found


def _summary(material: Material, run: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """SLSA's verification summary: PASSED where no test of the authorisation failed or could not tell."""
    asked = [row["result"] for name, row in found.items() if name.startswith(AUTHORISED)]
    good = bool(asked) and all(result in GOOD for result in asked)
    levels = [name for name, row in found.items() if row["result"] == "pass"]
    definitions = [one["definition"] for one in material.head()["controls"] if one["id"] in AUTHORISED]
    policy = hashlib.sha256(canonical(definitions)).hexdigest()
    return {
        "verifier": {"id": f"https://{settings.LEDGER_ORIGIN}", "version": {"countersign": settings.RELEASE}},
        "timeVerified": material.signed.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resourceUri": f"https://{settings.LEDGER_ORIGIN}#{run}",
        "policy": {"uri": "urn:countersign:control-tests", "digest": {"sha256": policy}},
        "verificationResult": "PASSED" if good else "FAILED",
        "verifiedLevels": [
            f"COUNTERSIGN_{name.upper().replace(' ', '_').replace('-', '_')}" for name in levels
        ],
    }


def _authorisation(material: Material, row: dict[str, Any], node: Node) -> dict[str, Any]:
    """Who asked, who agreed and in which sense, what ran, and where in the log each of it stands."""
    given = approvals(material.given, row)
    places = [row["index"], row["permit_index"], *(one.index for one in given)]
    under = material.signed
    proved = proofs.of_places(
        sorted({place for place in places if place is not None}), under=under, node=node
    )
    return {
        "change": row["change"], "run": row["run"], "service": row["service"], "environment": row["environment"],
        "requester": row["requester"], "requestedAt": row["requested_at"], "startedAt": row["started_at"],
        "workflowDigest": row["workflow_digest"], "policyDecision": row["policy_decision"],
        "approvals": [_approval(one) for one in given],
        "entries": {"start": row["index"], "permit": row["permit_index"]},
        "checkpoint": under.note, "proofs": {str(place): text for place, text in proved.items()},
    }  # fmt: skip


def _approval(one: Approval) -> dict[str, Any]:
    return {
        "person": one.person, "meaning": one.meaning, "stage": one.stage, "time": one.time,
        "factors": one.factors, "index": one.index,
    }  # fmt: skip


def envelope(payload: bytes, by: Ed25519PrivateKey) -> dict[str, Any]:
    """DSSE: the signature covers the type and the exact bytes."""
    kind = PAYLOAD_TYPE.encode()
    signature = by.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key_id(by), "sig": base64.b64encode(signature).decode()}],
    }


def signer() -> Ed25519PrivateKey:
    """A key of the workers for this purpose alone, made when first needed; its public half lies beside theirs."""
    place = Path(settings.KEY_DIR) / "worker" / "attestation.key"
    if not place.exists():
        _make(place)
    by = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(place.read_text()))
    _public().parent.mkdir(parents=True, exist_ok=True)
    _public().write_bytes(by.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return by


def _make(place: Path) -> None:
    """Whole or not there, readable by its owner alone, and never in the place of another worker's."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".new-") as file:  # made for the owner alone
        file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex().encode())
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, place)


def public_key() -> bytes:
    """What attestations are verified with, as PEM; NotFound until the first was made."""
    try:
        return _public().read_bytes()
    except FileNotFoundError:
        raise NotFound("No attestation was made yet, so there is no key to verify one with.") from None


def key_id(by: Ed25519PrivateKey) -> str:
    return hashlib.sha256(by.public_key().public_bytes_raw()).hexdigest()


def _public() -> Path:
    return Path(settings.KEY_DIR) / "public" / "worker" / "attestation.pem"
