"""`kubernetes`: manifests beside the workflow, or a kustomization, applied by kubectl on the server's side.

The cluster itself says what would change: a plan is its dry run. Without a cluster only what is rendered is told.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from orchestration.actions import cluster, fields, program, summary
from orchestration.actions.base import ChildAction, Context, Result
from orchestration.actions.program import Program, Unusable
from orchestration.actions.summary import Planned

ROLLOUT = rf"^(deployment|statefulset|daemonset)/[a-z0-9]([a-z0-9.-]*[a-z0-9])?{fields.END}"
TAG = rf"^([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}|sha256:[0-9a-f]{{64}}){fields.END}"
APPLY = ("--server-side", "--field-manager=countersign")


class Kubernetes(ChildAction):
    name = "kubernetes"
    summary = "Applies manifests or a kustomization to a cluster with kubectl; its plan is the cluster's own dry run."
    plans = True
    checks = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "oneOf": [{"required": ["manifests"]}, {"required": ["kustomization"]}],
        "dependentRequired": {"images": ["kustomization"]},
        "properties": {
            "manifests": {**fields.PATH, "description": "a file or folder beside the workflow"},
            "kustomization": {**fields.PATH, "description": "or a folder with a kustomization"},
            "images": {
                **fields.named("[a-z0-9][a-z0-9._/:-]*", {"type": "string", "pattern": TAG}, most=50),
                "description": "tag or digest of each image that the kustomization names",
            },
            **cluster.FIELDS,
            "force_conflicts": {"type": "boolean", "description": "take over fields that others manage"},
            "rollout": {
                **fields.listed({"type": "string", "maxLength": 253, "pattern": ROLLOUT}, most=50),
                "description": "what is waited for, such as deployment/page",
            },
        },
    }

    def reads(self, with_: Mapping[str, Any]) -> tuple[str, ...]:
        if "manifests" in with_:
            return (with_["manifests"],)
        return (with_["kustomization"], "")  # an overlay reaches up to its base

    def run(self, context: Context) -> Result:
        try:
            tool = Program(
                context,
                program.find("kubectl"),
                Path.cwd(),
                program.secret_variables(context, but=cluster.KUBECONFIG),
            )
            rendered = Path.cwd() / ".rendered.yaml"
            rendered.write_text(_rendered(context.with_, tool), "utf-8")
            if context.phase == "plan":
                return _plan(context, tool, rendered)
            return (
                _apply(context, tool, rendered)
                if context.phase == "apply"
                else _check(context, tool, rendered)
            )
        except Unusable as why:
            return Result(succeeded=False, reason=str(why))


def _plan(context: Context, tool: Program, rendered: Path) -> Result:
    """What the cluster says would change; without a cluster, each object as something whose effect is not known."""
    found = cluster.objects(rendered.read_text("utf-8"))
    (context.artifacts / "manifest.yaml").write_text(cluster.manifest(found.values()), "utf-8")
    if context.secret_file(cluster.KUBECONFIG) is None:
        planned = [Planned(cluster.title(key), "run", diff=cluster.shown(one)) for key, one in found.items()]
    else:
        planned = list(sections(_diff(context, tool, rendered)))
    summary.leave(context.artifacts, planned)
    return Result(succeeded=True, outputs={"objects": len(found), "changes": len(planned)})


def _apply(context: Context, tool: Program, rendered: Path) -> Result:
    force = ["--force-conflicts"] if context.with_.get("force_conflicts") else []
    tool.run("apply", *_where(context), *APPLY, *force, f"--filename={rendered}").must()
    for name in context.with_.get("rollout", ()):
        tool.run(
            "rollout", "status", *_where(context), f"--timeout={context.remaining_seconds:.0f}s", "--", name
        ).must()
    return Result(succeeded=True, outputs={"objects": len(cluster.objects(rendered.read_text("utf-8")))})


def _check(context: Context, tool: Program, rendered: Path) -> Result:
    """Whether the cluster is as the manifests say."""
    differs = _diff(context, tool, rendered)
    return Result(succeeded=not differs, reason="The cluster is not as the manifests say." if differs else "")


def _diff(context: Context, tool: Program, rendered: Path) -> str:
    force = ["--force-conflicts"] if context.with_.get("force_conflicts") else []
    ran = tool.capture("diff", *_where(context), *APPLY, *force, f"--filename={rendered}").must(1)
    for line in ran.printed.splitlines():
        context.say(line)
    if ran.code == 1 and not ran.printed:
        raise Unusable(ran.reason)
    return ran.printed


def _where(context: Context) -> list[str]:
    found = [f"--kubeconfig={cluster.config(context)}"]
    return found + [
        f"--{name}={context.with_[name]}" for name in ("context", "namespace") if name in context.with_
    ]


def _rendered(given: Mapping[str, Any], tool: Program) -> str:
    """All manifests as one text."""
    if "manifests" in given:
        place = Path.cwd() / given["manifests"]
        files = (
            [place] if place.is_file() else sorted(one for one in place.rglob("*") if one.suffix in SUFFIXES)
        )
        return "\n---\n".join(one.read_text("utf-8") for one in files)
    _refuse_remote(Path.cwd())
    overlay = Path.cwd() / ".overlay"
    overlay.mkdir()
    images = [_image(name, tag) for name, tag in given.get("images", {}).items()]
    told = {"resources": [f"../{given['kustomization']}"], "images": images}
    (overlay / "kustomization.yaml").write_text(cluster.quoted(told), "utf-8")
    return tool.capture("kustomize", str(overlay)).must().printed


def _refuse_remote(here: Path) -> None:
    """What lies at another address was not signed, and may be another thing tomorrow: nothing is fetched."""
    for file in here.rglob("*"):
        if file.name in KUSTOMIZATIONS and file.is_file():
            for one in _named_by(file):
                place = (file.parent / one).resolve()
                if not (place.is_relative_to(here.resolve()) and place.exists()):
                    where = file.relative_to(here)
                    raise Unusable(
                        f"{where} names {one[:200]}, which does not lie beside it; nothing was fetched."
                    )


def _named_by(file: Path) -> Iterator[str]:
    """The places that a kustomization takes things from; text of several lines is the thing itself."""
    try:
        told = yaml.safe_load(file.read_text("utf-8")) or {}
    except yaml.YAMLError:
        return  # kubectl says what is wrong with it
    for name in PLACES if isinstance(told, Mapping) else ():
        listed = told.get(name) or []
        yield from (
            str(one) for one in (listed if isinstance(listed, list) else [listed]) if "\n" not in str(one)
        )


KUSTOMIZATIONS = {"kustomization.yaml", "kustomization.yml", "Kustomization"}
PLACES = (
    "resources",
    "bases",
    "components",
    "generators",
    "transformers",
    "validators",
    "crds",
    "configurations",
)
SUFFIXES = {".yaml", ".yml", ".json"}


def _image(name: str, tag: str) -> dict[str, str]:
    return {"name": name, "digest" if tag.startswith("sha256:") else "newTag": tag}


def sections(diff: str) -> Iterator[Planned]:
    """The parts of `kubectl diff`, one for each object; its file is named like `v1.ConfigMap.web.page`."""
    for part in re.split(r"^diff .*\n", diff, flags=re.MULTILINE):
        if head := re.match(r"--- (\S+)", part):
            created = re.search(r"^@@ -0,0 ", part, flags=re.MULTILINE)
            what = _named(head[1].rpartition("/")[2])
            yield Planned(what, "create" if created else "update", diff=_plain(part))


def _named(file: str) -> str:
    """`apps.v1.Deployment.web.page` is `Deployment web/page`: what begins with a capital is the kind."""
    found = re.match(r"(?:[a-z0-9.]+\.)?([A-Z]\w*)\.([^.]*)\.(.+)$", file)
    return cluster.title((found[1], found[2], found[3])) if found else file


def _plain(part: str) -> str:
    """Without the names and times of the files that kubectl compared."""
    return "--- before\n+++ after\n" + part.split("\n", 2)[2]
