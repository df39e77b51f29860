"""The same results as OSCAL assessment results, for tools of governance, risk and compliance.

One observation for each control test and never one for each item; deviations are risks. The same checkpoint and the
same question give the same bytes but for the time at which it was asked.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings

from audit.controls.evaluate import Tested
from audit.ledger.record import timestamp
from audit.reports import sheet, tables
from audit.reports.material import Made, Material, new_file

VERSION = "1.2.1"
CONTENT_TYPE = "application/oscal.assessment-results+json"
WORDS = {
    "effective": ("satisfied", "pass", "The test is effective."),
    "effective_with_exceptions": ("satisfied", "other", "The test is effective, with approved exceptions."),
    "not_effective": ("not-satisfied", "fail", "The test is not effective."),
    "not_tested": ("not-satisfied", "other", "Nothing was tested: the population is empty."),
}


def make(material: Material) -> Made:
    """The document as JSON."""
    file = new_file()
    file.write(json.dumps(document(material), indent=1, ensure_ascii=False).encode())
    name = f"countersign-assessment-{material.signed.size}.json"
    return Made(file, name, CONTENT_TYPE, len(material.items))


def document(material: Material) -> dict[str, Any]:
    """OSCAL's assessment results."""
    told = _Told(material)
    return {
        "assessment-results": {
            "uuid": told.id("results"),
            "metadata": {
                "title": f"Control tests over the ledger {settings.LEDGER_ORIGIN}",
                "last-modified": material.made_at,
                "version": str(material.signed.size),
                "oscal-version": VERSION,
                "props": [_prop("report-digest", material.report.digest), _prop("instance", settings.LEDGER_ORIGIN)],
            },
            "import-ap": {"href": f"#{told.id('plan')}", "remarks": "The control tests themselves are the plan."},
            "results": [told.result()],
            "back-matter": {"resources": [told.plan(), told.evidence()]},
        }
    }  # fmt: skip


class _Told:
    """One material, and the ids that belong to it."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.space = uuid5(NAMESPACE_URL, f"countersign:{material.report.digest}:{material.framework}")

    def id(self, name: str) -> str:
        """The same for the same report."""
        return str(_uuid(self.space, name))

    def result(self) -> dict[str, Any]:
        tested, signed = self.material.report.tested, self.material.signed
        risks = list(self._risks())
        chosen = [{"control-id": _control(one)} for one in tested]
        return {
            "uuid": self.id("result"),
            "title": "Control tests over the whole population",
            "description": f"Computed from the {signed.size} entries under one signed checkpoint and from nothing else"
            f" ({self.material.query or 'everything'}).",
            "start": _since(self.material),
            "end": timestamp(signed.created_at),
            "reviewed-controls": {
                "control-selections": [{"description": "Every control test asked for.", "include-controls": chosen}]
            },
            "observations": [self._observation(one) for one in tested],
            "findings": [self._finding(one) for one in tested],
            **({"risks": risks} if risks else {}),
        }  # fmt: skip

    def _observation(self, one: Tested) -> dict[str, Any]:
        control = one.control
        counts = [_prop(name, str(count)) for name, count in one.counts.items()]
        return {
            "uuid": self.id(f"observation {control.id}"),
            "title": control.title,
            "description": control.test,
            "props": [
                _prop("definition", control.digest), _prop("population", str(one.population)), *counts,
            ],
            "methods": ["TEST"],
            "types": ["control-objective"],
            "relevant-evidence": [
                {"href": f"#{self.id('evidence')}", "description": f"The rows of {control.id} in results.csv."}
            ],
            "collected": timestamp(self.material.signed.created_at),
        }  # fmt: skip

    def _finding(self, one: Tested) -> dict[str, Any]:
        state, reason, words = WORDS[one.result]
        related = [{"risk-uuid": self.id(f"risk {name}")} for name in _deviations([one])]
        return {
            "uuid": self.id(f"finding {one.control.id}"),
            "title": one.control.title,
            "description": one.control.statement,
            "target": {
                "type": "objective-id",
                "target-id": _control(one),
                "status": {"state": state, "reason": reason, "remarks": words},
            },
            "related-observations": [{"observation-uuid": self.id(f"observation {one.control.id}")}],
            **({"related-risks": related} if related else {}),
        }

    def _risks(self) -> Iterator[dict[str, Any]]:
        """Each deviation that excused something, once."""
        for name, rules in _deviations(self.material.report.tested).items():
            yield {
                "uuid": self.id(f"risk {name}"),
                "title": f"Exception {name}",
                "description": f"An approved exception from {', '.join(rules)} excuses what the test found.",
                "statement": "Whoever granted it accepted the risk until its end; its entry names scope and end.",
                "status": "deviation-approved",
            }

    def plan(self) -> dict[str, Any]:
        return {
            "uuid": self.id("plan"),
            "title": "The control tests, with their versions and digests",
            "description": "; ".join(
                f"{one.control.id} version {one.control.version} {one.control.digest}"
                for one in self.material.report.tested
            ),
        }

    def evidence(self) -> dict[str, Any]:
        """The CSV of the export of the same report, by its sum."""
        seen = hashlib.sha256()
        for row in tables.results(self.material):
            seen.update(sheet.line(row))
        return {
            "uuid": self.id("evidence"),
            "title": "What each test found about each item",
            "rlinks": [
                {
                    "href": "results.csv",
                    "media-type": "text/csv",
                    "hashes": [{"algorithm": "SHA-256", "value": seen.hexdigest()}],
                }
            ],
            "remarks": self.material.signed.note,
        }


def _deviations(tested: Iterable[Tested]) -> dict[str, list[str]]:
    """Each deviation, and the tests in which it excused something."""
    found: dict[str, list[str]] = {}
    for one in tested:
        for name in sorted({str(row["deviation"]) for row in one.rows if row.get("deviation")}):
            found.setdefault(name, []).append(one.control.id)
    return found


def _uuid(space: UUID, name: str) -> UUID:
    return uuid5(space, name)


def _control(one: Tested) -> str:
    return one.control.id.lower()


def _since(material: Material) -> str:
    """From the period, else when the checkpoint was signed: OSCAL wants one."""
    asked = material.scope.plain()["from"]
    return str(asked) if asked else timestamp(material.signed.created_at)


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value, "ns": "urn:countersign:oscal"}
