"""The `kubernetes` action with the real kubectl, against a small API server that speaks the documented protocol."""

import pytest

from orchestration.actions import cluster, registry
from orchestration.actions.kubernetes import sections
from orchestration.actions.program import Unusable
from orchestration.engine import supervise
from tests.orchestration.apiserver import Cluster
from tests.orchestration.tooling import HOSTILE, Tool, needs

pytestmark = needs("kubectl")

PAGE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {text: one}
"""
WORD = """
apiVersion: v1
kind: Secret
metadata: {name: word}
stringData: {word: open sesame}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: page}
spec:
  replicas: 2
  selector: {matchLabels: {app: page}}
  template:
    metadata: {labels: {app: page}}
    spec: {containers: [{name: page, image: "page:1"}]}
"""


@pytest.fixture
def place():
    with Cluster() as found:
        yield found


@pytest.fixture
def step(place, tmp_path):
    def made(*, phase="apply", files=None, cluster=True, **changed):
        given = {"manifests": "app", "namespace": "web", **changed}
        given = {name: value for name, value in given.items() if value is not None}
        assert registry.validate("kubernetes", given) == []
        files = files or {"app/page.yaml": PAGE, "app/more.yml": DEPLOYMENT, "app/notes.txt": "no: manifest"}
        secrets = {"KUBECONFIG": place.kubeconfig} if cluster else None
        folder = tmp_path / f"{phase}{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return Tool("kubernetes", given, folder, files=files, phase=phase, secrets=secrets, seconds=40)

    return made


def test_manifests_are_applied_on_the_side_of_the_server(place, step):
    one = step(rollout=["deployment/page"])
    outcome = one.run()
    assert (outcome.state, outcome.reason, outcome.outputs) == ("succeeded", "", {"objects": 2})
    assert place.objects["configmaps", "web", "page"]["data"] == {"text": "one"}
    assert "configmap/page serverside-applied" in one.text
    assert 'deployment "page" successfully rolled out' in one.text
    assert all("fieldManager=countersign" in path for _, path in place.written)
    assert one.left() == []


def test_a_plan_is_the_dry_run_of_the_cluster_and_changes_nothing(place, step):
    step(files={"app/page.yaml": PAGE}).run()
    before = len(place.written)
    files = {"app/page.yaml": PAGE.replace("one", "two"), "app/more.yml": DEPLOYMENT}
    plan = step(phase="plan", files=files)
    outcome = plan.run()
    assert (outcome.reason, outcome.outputs) == ("", {"objects": 2, "changes": 2})
    assert len(place.written) == before
    page, deployment = plan.changes
    assert (page["what"], page["action"], page["risk"]) == ("ConfigMap web/page", "update", "medium")
    assert "-  text: one\n+  text: two" in page["diff"]
    assert (deployment["what"], deployment["action"], deployment["risk"]) == (
        "Deployment web/page",
        "create",
        "low",
    )
    assert cluster.objects((plan.artifacts / "manifest.yaml").read_text()).keys() == {
        ("ConfigMap", "", "page"), ("Deployment", "", "page")
    }  # fmt: skip


def test_a_plan_of_what_is_there_already_is_empty_and_the_check_agrees(step):
    assert step(phase="check").run().reason == "The cluster is not as the manifests say."
    step().run()
    plan = step(phase="plan")
    assert plan.run().outputs == {"objects": 2, "changes": 0}
    assert plan.changes == []
    assert step(phase="check").run().state == "succeeded"


def test_what_a_manifest_no_longer_says_goes(place, step):
    step(files={"app/page.yaml": PAGE.replace("text: one", "text: one, more: yes please")}).run()
    step(files={"app/page.yaml": PAGE}).run()
    assert place.objects["configmaps", "web", "page"]["data"] == {"text": "one"}


def test_what_another_manages_is_taken_over_only_when_the_step_says_so(place, step):
    step(files={"app/page.yaml": PAGE}).run()
    owned = place.server.store.owned["configmaps", "web", "page"]
    owned["somebody"] = owned.pop("countersign")
    two = {"app/page.yaml": PAGE.replace("one", "two")}
    assert 'conflict with "somebody"' in step(files=two).run().reason
    assert 'conflict with "somebody"' in step(files=two, phase="plan").run().reason
    assert step(files=two, force_conflicts=True).run().state == "succeeded"
    assert place.objects["configmaps", "web", "page"]["data"] == {"text": "two"}


def test_the_values_of_a_secret_are_in_nothing_that_a_person_reads(step):
    plan = step(phase="plan", files={"app/word.yaml": WORD})
    assert plan.run().reason == ""
    told = plan.text + "".join(path.read_text() for path in plan.artifacts.iterdir())
    assert "word" in told
    assert "open sesame" not in told
    assert "b3BlbiBzZXNhbWU" not in told  # the same in base64


OVERLAY = {
    "app/base/kustomization.yaml": "resources: [page.yaml]\n",
    "app/base/page.yaml": DEPLOYMENT,
    "app/web/kustomization.yaml": "resources: [../base]\nnamePrefix: web-\n",
}


def test_a_kustomization_is_built_with_the_tags_that_the_step_gives(place, step):
    digest = "sha256:" + "a" * 64
    given = {"manifests": None, "kustomization": "app/web", "files": OVERLAY}
    assert step(**given, images={"page": "1.2.3"}).run().reason == ""
    built = place.objects["deployments", "web", "web-page"]["spec"]["template"]["spec"]["containers"][0]
    assert built["image"] == "page:1.2.3"
    step(**given, images={"page": digest}).run()
    built = place.objects["deployments", "web", "web-page"]["spec"]["template"]["spec"]["containers"][0]
    assert built["image"] == f"page@{digest}"


def test_without_a_cluster_a_plan_tells_what_is_rendered_and_nothing_is_applied(place, step):
    plan = step(phase="plan", cluster=False, manifests=None, kustomization="app/web", files=OVERLAY)
    assert plan.run().state == "succeeded"
    assert [(one["what"], one["action"], one["risk"]) for one in plan.changes] == [
        ("Deployment web-page", "run", "high")
    ]
    assert "has no secret named KUBECONFIG" in step(cluster=False).run().reason
    assert place.server.asked == []


def test_what_the_cluster_refuses_is_the_reason(step):
    assert 'namespaces "nowhere" not found' in step(namespace="nowhere").run().reason
    assert "context" in step(context="elsewhere").run().reason


@pytest.mark.parametrize("text", ["a: b", "- a", "kind: [", "\x00", "&a [*a]"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(Unusable, match="manifest"):
        cluster.objects(text)


def test_a_diff_is_read_object_by_object():
    diff = (
        "diff -u -N /tmp/LIVE-1/apps.v1.Deployment.web.page /tmp/MERGED-2/apps.v1.Deployment.web.page\n"
        "--- /tmp/LIVE-1/apps.v1.Deployment.web.page\t2026\n+++ /tmp/MERGED-2/apps.v1.Deployment.web.page\t2026\n"
        "@@ -1,2 +1,2 @@\n-a\n+b\n"
        "diff -u -N /tmp/LIVE-1/rbac.authorization.k8s.io.v1.ClusterRole..read.it /tmp/MERGED-2/x\n"
        "--- /tmp/LIVE-1/rbac.authorization.k8s.io.v1.ClusterRole..read.it\t2026\n+++ /tmp/MERGED-2/x\t2026\n"
        "@@ -0,0 +1 @@\n+a\n"
    )
    first, second = sections(diff)
    assert (first.what, first.action, first.diff.splitlines()[-1]) == ("Deployment web/page", "update", "+b")
    assert (second.what, second.action) == ("ClusterRole read.it", "create")


PLAIN = {"null", "yes", "0x1F", "1e3", "terraform.workspace"}  # names of files like any other


@pytest.mark.parametrize("typed", [one for one in HOSTILE if one not in PLAIN])
def test_nothing_that_leads_elsewhere_is_taken(typed):
    for field in ("manifests", "kustomization"):
        assert registry.validate("kubernetes", {field: typed})
    if typed.startswith("-") or not typed.isprintable():
        assert registry.validate("kubernetes", {"manifests": "app", "context": typed})


@pytest.mark.parametrize("typed", [one for one in HOSTILE if one not in {"null", "yes", "1e3"}])
def test_a_namespace_is_a_name(typed):
    assert registry.validate("kubernetes", {"manifests": "app", "namespace": typed})


@pytest.mark.parametrize("typed", [*HOSTILE[:30], "latest\n", ":", "a/b", "sha256:1"])
def test_a_tag_is_a_tag(typed):
    given = {"kustomization": "app", "images": {"page": typed}}
    assert registry.validate("kubernetes", given)
    assert registry.validate("kubernetes", {"manifests": "app", "rollout": [typed]})


def test_a_step_has_manifests_or_a_kustomization():
    assert registry.validate("kubernetes", {})
    assert registry.validate("kubernetes", {"manifests": "a", "kustomization": "a"})
    assert registry.validate("kubernetes", {"manifests": "a", "images": {"page": "1"}})


def test_a_worker_without_kubectl_says_so(step, monkeypatch):
    monkeypatch.setattr(supervise, "STEP_PATH", "/nowhere")
    assert step().run().reason == "There is no kubectl on the worker's PATH; nothing was run."


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/kubernetes-sigs/kustomize//examples/multibases?ref=v1.0.6",
        "github.com/kubernetes-sigs/kustomize/examples/multibases",
        "git@github.com:kubernetes-sigs/kustomize.git", "file:///etc", "/etc", "../../../../etc", "../missing",
    ],
)  # fmt: skip
@pytest.mark.parametrize("word", ["resources", "components", "transformers"])
def test_what_a_kustomization_names_elsewhere_is_refused_before_anything_is_fetched(step, word, remote):
    files = {**OVERLAY, "app/base/kustomization.yaml": f"{word}: [page.yaml, '{remote}']\n"}
    one = step(phase="plan", cluster=False, manifests=None, kustomization="app/web", files=files)
    outcome = one.run()
    assert outcome.state == "failed"
    assert "does not lie beside it; nothing was fetched" in outcome.reason
    assert outcome.artifacts == {}
