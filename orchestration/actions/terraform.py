"""`terraform`: OpenTofu, or Terraform where there is none. Applies a plan that was signed, and nothing else.

A step's folder is gone afterwards, so it refuses a configuration whose state would be gone with it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from orchestration.actions import fields, program, summary
from orchestration.actions.base import ChildAction, Context, Result
from orchestration.actions.program import Program, Unusable
from orchestration.actions.summary import Act, Planned

MIRROR = "COUNTERSIGN_TERRAFORM_MIRROR"
# What it does to a resource, as `show -json` tells it; `read` and `no-op` alter nothing.
ACTS: dict[tuple[str, ...], Act] = {
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("forget",): "update",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}
VARIABLE = "TF_VAR_"  # of its variables, which have small letters, where the names of secrets have capitals
KNOWN_LATER, HIDDEN = "(known after apply)", "(sensitive)"


class Terraform(ChildAction):
    name = "terraform"
    summary = "Plans and applies infrastructure with OpenTofu or Terraform; applies exactly the plan that was signed."
    plans = applies_plans = True
    checks = True
    inherits = (MIRROR,)
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["dir"],
        "properties": {
            "dir": {
                **fields.PATH,
                "description": "the folder beside the workflow that holds the configuration",
            },
            "plan": {
                "type": "string",
                "pattern": rf"^[a-z0-9][a-z0-9_-]{{0,98}}{fields.END}",
                "description": "the key of the plan step whose plan is applied",
            },
            "vars": {
                **fields.named("[A-Za-z_][A-Za-z0-9_-]*", fields.SCALAR, most=100),
                "description": "values of its variables; taken literally",
            },
            "backend": {
                **fields.named("[a-z_][a-z0-9_]*", {"type": "string", "maxLength": 2000}, most=50),
                "description": "values for its backend",
            },
            "workspace": {
                "type": "string",
                "maxLength": 90,
                "pattern": rf"^[A-Za-z0-9][A-Za-z0-9_-]*{fields.END}",
            },
            "destroy": {"type": "boolean", "description": "plan to take everything away"},
            "parallelism": {"type": "integer", "minimum": 1, "maximum": 100},
        },
    }

    def reads(self, with_: Mapping[str, Any]) -> tuple[str, ...]:
        return (with_["dir"],)

    def run(self, context: Context) -> Result:
        try:
            folder = Path.cwd() / context.with_["dir"]
            tool = Program(context, program.find("tofu", "terraform"), folder, _environment(context))
            return {"plan": _plan, "apply": _apply, "check": _check}[context.phase](context, tool)
        except Unusable as why:
            return Result(succeeded=False, reason=str(why))


def _plan(context: Context, tool: Program) -> Result:
    """The plan itself, what of it a reviewer may read, and what it would do."""
    _begin(context, tool)
    file = context.artifacts / "tfplan"
    tool.run(*_planning(context.with_), f"-out={file}").must()
    told = readable(json.loads(tool.capture("show", "-json", str(file)).must().printed))
    (context.artifacts / "plan.json").write_text(json.dumps(told, indent=1), "utf-8")
    planned = list(_planned(told))
    summary.leave(context.artifacts, planned)
    return Result(succeeded=True, outputs=_counts(planned))


def _apply(context: Context, tool: Program) -> Result:
    """Exactly the plan that was signed: without one nothing is applied."""
    if "plan" not in context.with_:
        raise Unusable("The step does not name its plan step (plan: <key>); nothing was applied.")
    file = context.plans / context.with_["plan"] / "tfplan"
    if not file.is_file():
        raise Unusable(f"The step {context.with_['plan']} left no plan; nothing was applied.")
    _begin(context, tool)
    tool.run("apply", "-input=false", *_parallelism(context.with_), str(file)).must()
    return Result(
        succeeded=True, outputs=dict(_outputs(json.loads(tool.capture("output", "-json").must().printed)))
    )


def _check(context: Context, tool: Program) -> Result:
    """Whether everything is as the configuration says."""
    _begin(context, tool)
    code = tool.run(*_planning(context.with_), "-detailed-exitcode").must(2).code
    return Result(succeeded=code == 0, reason="Something is not as the configuration says." if code else "")


def _begin(context: Context, tool: Program) -> None:
    given = context.with_
    locked = ["-lockfile=readonly"] if (tool.folder / ".terraform.lock.hcl").exists() else []
    backend = [f"-backend-config={name}={value}" for name, value in given.get("backend", {}).items()]
    tool.run("init", "-input=false", *locked, *backend).must()
    _refuse_lost_state(tool.folder, "workspace_dir" if "workspace" in given else "path")
    if "workspace" in given:
        tool.run("workspace", "select", given["workspace"]).must()


def _planning(given: Mapping[str, Any]) -> list[str]:
    values = Path.cwd() / ".values.tfvars.json"
    values.write_text(json.dumps(given.get("vars", {})), "utf-8")
    destroy = ["-destroy"] if given.get("destroy") else []
    return ["plan", "-input=false", f"-var-file={values}", *destroy, *_parallelism(given)]


def _parallelism(given: Mapping[str, Any]) -> list[str]:
    return [f"-parallelism={given['parallelism']}"] if "parallelism" in given else []


def _environment(context: Context) -> dict[str, str]:
    """Never asked, never phoning home; providers from the operator's mirror alone where there is one."""
    settings = Path.cwd() / ".terraformrc"
    mirror = os.environ.get(MIRROR, "")
    settings.write_text(
        f"provider_installation {{\n filesystem_mirror {{\n path = {json.dumps(mirror)}\n }}\n}}\n"
        if mirror
        else ""
    )
    quiet = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    secrets = program.secret_variables(context)
    values = {
        f"{VARIABLE}{name.removeprefix(VARIABLE).lower()}": secrets[name]
        for name in secrets
        if VARIABLE in name
    }
    return {**secrets, **values, **quiet, "TF_CLI_CONFIG_FILE": str(settings)}


def _refuse_lost_state(folder: Path, where: str) -> None:
    """Unusable when the state would lie in the step's own folder."""
    try:
        backend = (
            json.loads((folder / ".terraform/terraform.tfstate").read_text("utf-8")).get("backend") or {}
        )
    except FileNotFoundError:
        backend = {"type": "local"}
    place = str((backend.get("config") or {}).get(where) or "")
    if backend.get("type") == "local" and not place.startswith("/"):
        words = "its state would lie in the step's own folder and be lost. Nothing was done."
        raise Unusable(f"The configuration names no backend that outlasts this step: {words}")


def readable(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan does, without what it calls sensitive and without everything that it leaves as it is."""
    changes = [{**one, "change": _masked(one["change"])} for one in shown.get("resource_changes", ())]
    outputs = {name: _masked(change) for name, change in shown.get("output_changes", {}).items()}
    kept = {name: shown[name] for name in ("format_version", "terraform_version", "errored") if name in shown}
    return {**kept, "resource_changes": changes, "output_changes": outputs}


def _masked(change: Mapping[str, Any]) -> dict[str, Any]:
    before = _hide(change.get("before"), change.get("before_sensitive"), HIDDEN)
    unknown = _hide(change.get("after"), change.get("after_unknown"), KNOWN_LATER)
    return {
        "actions": change["actions"],
        "before": before,
        "after": _hide(unknown, change.get("after_sensitive"), HIDDEN),
    }


def _hide(value: Any, marks: Any, words: str) -> Any:
    """The value with these words wherever the marks, a tree of the same shape, say true."""
    if marks is True:
        return words
    if isinstance(marks, Mapping) and isinstance(value, Mapping):
        names = [*value, *(name for name in marks if name not in value)]
        found = {name: _hide(value.get(name), marks.get(name), words) for name in names}
        return {name: one for name, one in found.items() if name in value or one}
    if isinstance(marks, list) and isinstance(value, list):
        padded = [*marks, *[None] * (len(value) - len(marks))]
        return [_hide(one, mark, words) for one, mark in zip(value, padded, strict=False)]
    return value


def _planned(told: Mapping[str, Any]) -> Iterator[Planned]:
    for one in told["resource_changes"]:
        change = one["change"]
        if act := ACTS.get(tuple(change["actions"])):
            before, after = change["before"], change["after"]
            diff = summary.unified(before, after)
            yield Planned(one["address"], act, before=before, after=after, diff=diff)


def _counts(planned: list[Planned]) -> dict[str, int]:
    acts = ("create", "update", "replace", "delete")
    return {act: sum(one.action == act for one in planned) for act in acts}


def _outputs(told: Mapping[str, Any]) -> Iterator[tuple[str, str | int | bool]]:
    """Its outputs that are one plain value each and not sensitive."""
    for name, one in told.items():
        if not one["sensitive"] and isinstance(one["value"], str | int | bool):
            yield name, one["value"]
