"""The `helm` action with the real Helm, against a small API server that speaks the documented protocol."""

import json

import pytest
import yaml

from orchestration.actions import registry
from orchestration.actions.helm import nested
from orchestration.actions.program import Unusable
from orchestration.engine import supervise
from tests.orchestration.apiserver import Cluster
from tests.orchestration.tooling import HOSTILE, Tool, needs

pytestmark = needs("helm")

ALL = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-page, namespace: {{ .Release.Namespace }}}
data: {text: {{ .Values.text | quote }}}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-word, namespace: {{ .Release.Namespace }}}
data: {word: {{ .Values.word | b64enc | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: page}}
  template:
    metadata: {labels: {app: page}}
    spec: {containers: [{name: page, image: "page:{{ .Values.image.tag }}"}]}
"""
HOOK = """
apiVersion: v1
kind: ConfigMap
metadata: {name: before, annotations: {helm.sh/hook: pre-upgrade}}
"""
CHART = {
    "chart/Chart.yaml": "{apiVersion: v2, name: page, version: 1.0.0}\n",
    "chart/values.yaml": "{text: one, word: hidden, image: {tag: '1'}}\n",
    "chart/templates/all.yaml": ALL,
}


@pytest.fixture
def place():
    with Cluster() as found:
        yield found


@pytest.fixture
def step(place, tmp_path):
    def made(*, phase="apply", files=None, cluster=True, seconds=40, **changed):
        given = {"chart": "chart", "release": "shop", "namespace": "web", **changed}
        assert registry.validate("helm", given) == []
        secrets = {"KUBECONFIG": place.kubeconfig} if cluster else None
        folder = tmp_path / f"{phase}{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return Tool(
            "helm",
            given,
            folder,
            files={**CHART, **(files or {})},
            phase=phase,
            secrets=secrets,
            seconds=seconds,
        )

    return made


def test_a_release_is_installed_and_upgraded(place, step):
    first = step(values={"text": "two"})
    outcome = first.run()
    assert (outcome.reason, outcome.outputs) == ("", {"revision": 1, "status": "deployed"})
    assert place.objects["configmaps", "web", "shop-page"]["data"] == {"text": "two"}
    files = {"more/values.yaml": "{text: three, image: {tag: '2'}}\n"}
    second = step(values={"image.tag": "3"}, values_files=["more/values.yaml"], files=files).run()
    assert second.outputs["revision"] == 2
    assert place.objects["configmaps", "web", "shop-page"]["data"] == {"text": "three"}
    container = place.objects["deployments", "web", "shop"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "page:3"
    assert first.left() == []


def test_a_plan_compares_with_what_the_release_holds_and_changes_nothing(place, step):
    step().run()
    before = len(place.written)
    without = ALL.partition("---")[0] + HOOK.join(["---", ""])
    plan = step(phase="plan", values={"text": "two"}, files={"chart/templates/all.yaml": without})
    outcome = plan.run()
    assert (outcome.reason, outcome.outputs) == ("", {"objects": 2, "changes": 4})
    assert len(place.written) == before
    told = [(one["what"], one["action"], one["irreversible"]) for one in plan.changes]
    assert told == [
        ("Secret web/shop-word", "delete", True), ("Deployment web/shop", "delete", True),
        ("ConfigMap before", "run", False), ("ConfigMap web/shop-page", "update", False),
    ]  # fmt: skip
    assert "-  text: one\n+  text: two" in plan.changes[-1]["diff"]


def test_a_plan_before_the_first_time_creates_everything_also_without_a_cluster(place, step):
    for there in (True, False):
        plan = step(phase="plan", cluster=there)
        assert plan.run().outputs == {"objects": 3, "changes": 3}
        assert {one["action"] for one in plan.changes} == {"create"}
    assert place.written == []
    assert "has no secret named KUBECONFIG" in step(cluster=False).run().reason


def test_the_check_says_whether_the_release_holds_the_chart(step):
    assert step(phase="check").run().reason == "The release does not hold what the chart says."
    step().run()
    assert step(phase="check").run().state == "succeeded"
    assert step(phase="check", values={"word": "other"}).run().state == "failed"


def test_an_upgrade_that_does_not_become_ready_goes_back(place, step):
    step().run()
    outcome = step(values={"image.tag": "broken", "text": "two"}, seconds=12).run()
    assert outcome.state == "failed"
    assert "rolled back" in outcome.reason
    assert place.objects["configmaps", "web", "shop-page"]["data"] == {"text": "one"}


def test_the_values_of_a_secret_are_in_nothing_that_a_person_reads(step):
    step().run()
    plan = step(phase="plan", values={"word": "open sesame"})
    plan.run()
    told = plan.text + "".join(path.read_text() for path in plan.artifacts.iterdir())
    assert plan.changes[0]["what"] == "Secret web/shop-word"
    assert "open sesame" not in told
    assert "b3BlbiBzZXNhbWU" not in told  # the same in base64


SEEN = """
apiVersion: v1
kind: ConfigMap
metadata: {name: seen}
data: {all: {{ .Values.typed | toJson | quote }}}
"""


def test_what_a_person_typed_is_a_value_and_never_a_template(step):
    """All payloads at once, each a value of its own; each arrives as it was typed."""
    typed = {f"v{number}": text for number, text in enumerate(HOSTILE)}
    assert len(typed) >= 50
    values = {f"typed.{name}": text for name, text in typed.items()}
    plan = step(phase="plan", cluster=False, values=values, files={"chart/templates/all.yaml": SEEN})
    assert plan.run().reason == ""
    seen = yaml.safe_load((plan.artifacts / "manifest.yaml").read_text())
    assert json.loads(seen["data"]["all"]) == typed


def test_places_of_values_hold_one_thing_each():
    assert nested({"a.b": 1, "a.c.d": "x", "e": True}) == {"a": {"b": 1, "c": {"d": "x"}}, "e": True}
    for wrong in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}):
        with pytest.raises(Unusable, match="nothing was done"):
            nested(wrong)


@pytest.mark.parametrize("field", ["chart", "release", "namespace", "context"])
@pytest.mark.parametrize(
    "typed", ["-x", "--help", "a\n", "../a", "a b", "$(id)", "; id", "", "https://x/y z", "oci:\\"]
)
def test_names_that_could_lead_elsewhere_are_refused(field, typed):
    given = {"chart": "chart", "release": "shop", "namespace": "web", field: typed}
    assert registry.validate("helm", given)


def test_a_chart_that_is_none_says_why(step):
    assert "parse error" in step(files={"chart/templates/all.yaml": "{{ nonsense"}).run().reason


def test_a_worker_without_helm_says_so(step, monkeypatch):
    monkeypatch.setattr(supervise, "STEP_PATH", "/nowhere")
    assert step().run().reason == "There is no helm on the worker's PATH; nothing was run."
