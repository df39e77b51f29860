"""What `kubernetes` and `helm` share: the way to the cluster, and objects of Kubernetes as a reviewer reads them. Pure.

The kubeconfig is a secret of the step. Values of a Secret are in nothing that a person reads.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestration.actions import fields, summary
from orchestration.actions.base import Context
from orchestration.actions.program import Unusable
from orchestration.actions.summary import Planned

FIELDS = {
    "namespace": fields.LABEL,
    "context": {**fields.NAME, "description": "which context of the kubeconfig; left out: its current one"},
}
KUBECONFIG = "KUBECONFIG"
HIDDEN = "(hidden)"
Key = tuple[str, str, str]  # kind, namespace, name


def quoted(value: Any) -> str:
    """YAML in which every text is quoted: what one reader takes for a text, another may take for a number."""
    return yaml.safe_dump(value, default_style='"', width=1 << 20)


def config(context: Context) -> Path:
    """The kubeconfig of the step; Unusable without one."""
    if (path := context.secret_file(KUBECONFIG)) is None:
        raise Unusable(
            f"The step has no secret named {KUBECONFIG}, so there is no cluster; nothing was applied."
        )
    return path


def objects(text: str) -> dict[Key, dict[str, Any]]:
    """The objects of a manifest by what they are, in their order; Unusable when it is none."""
    try:
        found = [one for document in yaml.safe_load_all(text) for one in _each(document)]
    except yaml.YAMLError as error:
        raise Unusable(f"The manifests are no YAML: {' '.join(str(error).split())}"[:500]) from None
    return {_key(one): one for one in found}


def _each(document: Any) -> Iterator[dict[str, Any]]:
    """One object, or those of a list."""
    if document is None:
        return
    if not isinstance(document, Mapping) or not document.get("kind"):
        raise Unusable("A manifest has something in it that is no object of Kubernetes; nothing was done.")
    yield from document["items"] if str(document["kind"]).endswith("List") else [dict(document)]


def _key(one: Mapping[str, Any]) -> Key:
    named = one.get("metadata") or {}
    return str(one["kind"]), str(named.get("namespace", "")), str(named.get("name", ""))


def title(key: Key) -> str:
    """`Deployment web/page`."""
    return f"{key[0]} {key[1]}/{key[2]}" if key[1] else f"{key[0]} {key[2]}"


def shown(one: Mapping[str, Any]) -> str:
    """An object as YAML, without the values of a secret."""
    if one.get("kind") == "Secret":
        parts = {
            name: dict.fromkeys(one[name] or {}, HIDDEN) for name in ("data", "stringData") if name in one
        }
        one = {**one, **parts}
    return yaml.safe_dump(dict(one), sort_keys=False, width=1 << 20)


def manifest(found: Iterable[Mapping[str, Any]]) -> str:
    return "---\n".join(shown(one) for one in found)


def differences(before: Mapping[Key, Any], after: Mapping[Key, Any]) -> Iterator[Planned]:
    """What would become of each object; a changed secret is told though its values are not."""
    for key, one in after.items():
        if key not in before:
            yield Planned(title(key), "create", diff=summary.unified(None, shown(one)))
        elif before[key] != one:
            diff = summary.unified(shown(before[key]), shown(one)) or "The values of a secret differ."
            yield Planned(title(key), "update", diff=diff)
    for key, one in before.items():
        if key not in after:
            yield Planned(title(key), "delete", diff=summary.unified(shown(one), None))
