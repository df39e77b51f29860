"""`helm`: a chart beside the workflow, installed or upgraded as one release that goes back when it fails.

A plan renders the chart and compares it with what the release holds; it alters nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from orchestration.actions import cluster, fields, program, summary
from orchestration.actions.base import ChildAction, Context, Result
from orchestration.actions.cluster import Key
from orchestration.actions.program import Program, Unusable
from orchestration.actions.summary import Planned

VALUE = r"[A-Za-z_][A-Za-z0-9_-]*"
HOOK = "helm.sh/hook"


class Helm(ChildAction):
    name = "helm"
    summary = "Installs or upgrades a chart as one release with Helm, and takes it back when that fails."
    plans = True
    checks = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["chart", "release", "namespace"],
        "properties": {
            "chart": {**fields.PATH, "description": "the folder beside the workflow that holds the chart"},
            "release": {**fields.LABEL, "maxLength": 53},
            **cluster.FIELDS,
            "values": {
                **fields.named(rf"{VALUE}(\.{VALUE}){{0,9}}", fields.SCALAR, most=200),
                "description": "values by their place in the chart, such as image.tag; texts stay texts",
            },
            "values_files": {
                **fields.listed(fields.PATH, most=20),
                "description": "files beside the workflow",
            },
        },
    }

    def reads(self, with_: Mapping[str, Any]) -> tuple[str, ...]:
        return (with_["chart"], *with_.get("values_files", ()))

    def run(self, context: Context) -> Result:
        try:
            tool = Program(
                context,
                program.find("helm"),
                Path.cwd(),
                program.secret_variables(context, but=cluster.KUBECONFIG),
            )
            chart = [context.with_["release"], f"./{context.with_['chart']}", *_values(context.with_)]
            if context.phase == "apply":
                return _apply(context, tool, chart)
            return _plan(context, tool, chart) if context.phase == "plan" else _check(context, tool, chart)
        except Unusable as why:
            return Result(succeeded=False, reason=str(why))


def _plan(context: Context, tool: Program, chart: list[str]) -> Result:
    tool.run("lint", *chart[1:], f"--namespace={context.with_['namespace']}").must()
    planned, after = _compared(context, tool, chart)
    (context.artifacts / "manifest.yaml").write_text(cluster.manifest(after.values()), "utf-8")
    summary.leave(context.artifacts, planned)
    return Result(succeeded=True, outputs={"objects": len(after), "changes": len(planned)})


def _apply(context: Context, tool: Program, chart: list[str]) -> Result:
    version = tool.capture("version", "--template={{.Version}}").must().printed
    back = "--atomic" if version.startswith("v3.") else "--rollback-on-failure"
    timeout = f"--timeout={max(1, int(context.remaining_seconds) - 5)}s"
    tool.run("upgrade", "--install", *chart, *_where(context), back, timeout).must()
    shown = json.loads(
        tool.capture("status", context.with_["release"], *_where(context), "--output=json").must().printed
    )
    return Result(succeeded=True, outputs={"revision": shown["version"], "status": shown["info"]["status"]})


def _check(context: Context, tool: Program, chart: list[str]) -> Result:
    """Whether the release holds what the chart says."""
    cluster.config(context)
    planned, _ = _compared(context, tool, chart)
    left = [one for one in planned if one.action != "run"]
    return Result(succeeded=not left, reason="The release does not hold what the chart says." if left else "")


def _compared(context: Context, tool: Program, chart: list[str]) -> tuple[list[Planned], dict[Key, Any]]:
    """What would become of the objects of the release, and all that the chart makes."""
    where = f"--namespace={context.with_['namespace']}"
    after = cluster.objects(tool.capture("template", *chart, where, "--include-crds").must().printed)
    kept = {key: one for key, one in after.items() if not _is_hook(one)}
    planned = list(cluster.differences(_held(context, tool), kept))
    hooks = [
        Planned(cluster.title(key), "run", diff=cluster.shown(one))
        for key, one in after.items()
        if _is_hook(one)
    ]
    return [*planned, *hooks], after


def _is_hook(one: Mapping[str, Any]) -> bool:
    return HOOK in ((one.get("metadata") or {}).get("annotations") or {})


def _held(context: Context, tool: Program) -> dict[Key, Any]:
    """The objects of the release as it is now; none when there is no such release, or no cluster."""
    if context.secret_file(cluster.KUBECONFIG) is None:
        return {}
    ran = tool.capture("get", "manifest", context.with_["release"], *_where(context))
    if ran.code and "not found" in ran.said:
        return {}
    return cluster.objects(ran.must().printed)


def _where(context: Context) -> list[str]:
    given = context.with_
    found = [f"--kubeconfig={cluster.config(context)}", f"--namespace={given['namespace']}"]
    return [*found, f"--kube-context={given['context']}"] if "context" in given else found


def _values(given: Mapping[str, Any]) -> list[str]:
    """Files of values in their order, those of the step last."""
    own = Path.cwd() / ".values.yaml"
    own.write_text(cluster.quoted(nested(given.get("values", {}))), "utf-8")
    return [f"--values={path}" for path in (*given.get("values_files", ()), own)]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`image.tag: x` as `{image: {tag: x}}`; Unusable when one is a value and a place of others."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise Unusable(f"The value {parent} of {name} cannot hold others; nothing was done.")
        if isinstance(place.get(last), dict):
            raise Unusable(f"The value {name} holds others already; nothing was done.")
        place[last] = value
    return found
