"""`python -m docs.tables` (`make docs`): writes the tables of the reference pages from the code itself.

A page marks a table with `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is replaced. It must
never make a table of what the code does not say: a missing sentence is added to the code.
"""

import ast
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.urls import URLPattern, URLResolver

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "approvals", "audit", "config", "orchestration")
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
Rows = Iterator[tuple[str, ...]]


def table(head: tuple[str, ...], rows: Rows) -> str:
    """Markdown; a bar inside a cell is written so that it does not end it."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# --- settings and commands ----------------------------------------------------------------------------------


def settings() -> str:
    """Every setting of the environment."""
    from config.environment import ROOT as HERE
    from config.environment import Environment, name_of

    def shown(value: Any) -> str:
        if isinstance(value, tuple):
            return f"`{', '.join(value)}`" if value else ""
        if isinstance(value, Path):
            return f"`{value.relative_to(HERE)}` in the checkout"
        return f"`{value:g}`" if isinstance(value, float | int) else f"`{value}`" if value else ""

    def rows() -> Rows:
        for one in fields(Environment):
            also = [f"`{name_of(one)}_FILE`"] if one.metadata["secret"] else []
            also += [f"`{one.name.upper()}`"] if one.metadata["plain"] else []
            yield f"`{name_of(one)}`", shown(one.default), one.metadata["says"], ", ".join(also)

    return table(("Setting", "Default", "What it means", "Also as"), rows())


def commands() -> str:
    """Every management command of ours."""

    def rows() -> Rows:
        for app in APPS:
            for path in sorted((ROOT / app / "management" / "commands").glob("[a-z]*.py")):
                module = import_module(f"{app}.management.commands.{path.stem}")
                yield f"`manage.py {path.stem}`", str(module.Command.help)

    return table(("Command", "What it does"), rows())


# --- refusals -----------------------------------------------------------------------------------------------


def _load_all() -> None:
    """Import every module that defines a refusal."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            if any(isinstance(node, ast.ClassDef) and node.bases for node in tree.body):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                import_module(module.removesuffix(".__init__"))


def refusals() -> str:
    """Every code with which something is refused; classes that share a code share its row."""
    from audit.refusals import Refusal

    def below(one: type[Refusal]) -> Iterator[type[Refusal]]:
        yield one
        for sub in one.__subclasses__():
            yield from below(sub)

    def rows() -> Rows:
        _load_all()
        found = {one for one in below(Refusal) if one.__module__.partition(".")[0] in APPS}
        for code in sorted({one.code for one in found}):
            same = sorted(
                (one for one in found if one.code == code), key=lambda one: (one.__module__, one.__qualname__)
            )
            says = [(one.__dict__.get("__doc__") or "").partition("\n")[0] for one in same]
            if not all(says):
                raise LookupError(f"a class with the code {code} does not say what it means")
            yield f"`{code}`", str(same[0].status), " ".join(dict.fromkeys(says))

    return table(("Code", "Status", "Meaning"), rows())


# --- states -------------------------------------------------------------------------------------------------


def _moves(name: str, states: str) -> Callable[[], str]:
    def made() -> str:
        from orchestration import lifecycle, models

        moves: Mapping[str, frozenset[str]] = getattr(lifecycle, name)
        every = getattr(models, states).State

        def rows() -> Rows:
            for state in every:
                to = [f"`{one}`" for one in every if one in moves.get(state, frozenset())]
                yield f"`{state}`", ", ".join(to) or "nothing: it is final"

        return table(("From", "To"), rows())

    return made


# --- permissions and tokens ---------------------------------------------------------------------------------


def permissions() -> str:
    """What can be granted to a team, on which kind of record."""
    from django.apps import apps

    from accounts.permissions import VERBS

    def rows() -> Rows:
        for model in apps.get_app_config("orchestration").get_models():
            says = dict(model._meta.permissions)
            kind = str(model._meta.model_name)
            if says:
                says.setdefault(f"view_{kind}", f"Can see this {kind}")
                for verb in (one for one in VERBS if f"{one}_{kind}" in says):
                    yield f"`{verb}`", kind, str(says[f"{verb}_{kind}"])

    return table(("Grant", "On a", "Meaning"), rows())


def controls() -> str:
    """Every control test, word for word."""
    from audit.controls.catalogue import controls as found

    def rows() -> Rows:
        for one in found().values():
            name = f"{one.id}, version {one.version}"
            yield name, one.title, one.test.strip(), one.population, ", ".join(one.references)

    return table(("Control", "Title", "Test", "Population", "May be evidence for"), rows())


def bank_policy() -> str:
    """Every rule of the pack for a bank, as its own metadata says."""
    from approvals.policy import bundles

    def rows() -> Rows:
        for one in bundles.load(ROOT / "examples" / "policies" / "bank").rules:
            yield (
                f"`{one.id}`",
                one.answers,
                f"{one.title}. {one.description}",
                f"`{one.place.partition(':')[0]}`",
            )

    return table(("Rule", "Answers", "What it says", "File"), rows())


# --- schemas ------------------------------------------------------------------------------------------------


def _kind(rule: Mapping[str, Any]) -> str:
    if "const" in rule:
        return f"`{rule['const']}`".replace("True", "true")
    if "enum" in rule:
        return " or ".join(f"`{one}`" for one in rule["enum"])
    if "anyOf" in rule:
        return " or ".join(_kind(one) for one in rule["anyOf"])
    if rule.get("type") == "array" and "$ref" not in rule["items"]:
        return f"list of {_kind(rule['items'])}"
    found = rule.get("type", "anything")
    named = " or ".join(found) if isinstance(found, list) else str(found)
    return f"{rule['format']}" if "format" in rule and named == "string" else named


def _limits(rule: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"at least {rule[key]}" for key in ("minimum", "minItems", "minLength") if rule.get(key))
    yield from (
        f"at most {rule[key]}" for key in ("maximum", "maxItems", "maxLength", "maxProperties") if key in rule
    )
    if "pattern" in rule:
        yield f"`{rule['pattern']}`"


def _parts(rule: Any, defs: Mapping[str, Any], path: str, must: bool) -> Rows:
    """One row for each place that the schema knows; `true` is a place for anything."""
    rule = {} if rule is True else rule
    rule = defs[rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
    rule = {**next((one for one in rule.get("anyOf", []) if one.get("type") == "object"), {}), **rule}
    if path:
        limits = ", ".join(_limits(rule))
        says = str(rule.get("description", ""))
        yield f"`{path}`", _kind(rule), "yes" if must else "", "; ".join(one for one in (says, limits) if one)
    for name, part in rule.get("properties", {}).items():
        needed = name in rule.get("required", [])
        yield from _parts(part, defs, f"{path}.{name}".removeprefix("."), needed)
    if isinstance(rule.get("items"), dict):
        yield from (row for row in _parts(rule["items"], defs, f"{path}[]", False) if row[0] != f"`{path}[]`")
    if isinstance(rule.get("additionalProperties"), dict):
        yield from _parts(rule["additionalProperties"], defs, f"{path}.<name>", False)


def _schema(module: str, name: str) -> Callable[[], str]:
    def made() -> str:
        import json

        whole = json.loads((ROOT / module / f"{name}.schema.json").read_text("utf-8"))
        rows = _parts(whole, whole.get("$defs", {}), "", must=True)
        return table(("Where", "Is", "Required", "Meaning and limits"), rows)

    return made


# Whose page is docs/reference/actions.md; the governed acts have a page of their own.
ACTIONS = ("ansible", "command", "git", "helm", "http", "kubernetes", "ssh", "terraform", "trigger", "wait")


def actions() -> str:
    """Each built-in action, what it does, and the effect of a step that does not say."""
    from orchestration.actions import registry

    def rows() -> Rows:
        for action in registry.built_in():
            if action.environments is None:
                yield f"[`{action.name}`](actions.md#{action.name})", action.summary, f"`{action.effect}`"

    return table(("Action", "What it does", "Effect, unless a step says otherwise"), rows())


def _action(name: str) -> Callable[[], str]:
    """What one action takes under `with:`."""

    def made() -> str:
        from orchestration.actions import registry

        found = next(one for one in registry.built_in() if one.name == name)
        return table(("Takes", "Is", "Required", "Limits"), _parts(found.schema, {}, "", must=True))

    return made


# --- the API ------------------------------------------------------------------------------------------------


def api() -> str:
    """Every door of the API with the scope that a token needs for it."""
    from accounts.bearer import ANY
    from config.urls import api_urls

    def doors(found: list[URLPattern | URLResolver], before: str) -> Iterator[tuple[str, Any]]:
        for one in found:
            path = before + str(one.pattern)
            if isinstance(one, URLResolver):
                yield from doors(one.url_patterns, path)
            else:
                yield path, one.callback.view_class  # type: ignore[attr-defined]  # as_view() adds it

    def rows() -> Rows:
        for path, view in sorted(doors(api_urls, "/api/v1/"), key=lambda door: door[0]):
            plain = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
            for verb in ("get", "post", "patch"):
                if hasattr(view, verb):
                    scope = getattr(view, "scopes", {}).get(verb.upper())
                    needs = "any token" if scope == ANY else f"`{scope}`" if scope else "a browser's session"
                    yield f"`{verb.upper()} {plain}`", needs, (view.__doc__ or "").partition("\n")[0]

    return table(("Door", "Token needs", "What it is"), rows())


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "refusals": refusals,
    "change-moves": _moves("MOVES", "Change"),
    "run-moves": _moves("RUN_MOVES", "Run"),
    "step-moves": _moves("STEP_MOVES", "Step"),
    "permissions": permissions,
    "controls": controls,
    "actions": actions,
    **{f"action-{name}": _action(name) for name in ACTIONS},
    "workflow": _schema("orchestration/definitions", "workflow"),
    "plan-summary": _schema("orchestration/definitions", "summary"),
    "policy-input": _schema("approvals/policy", "input"),
    "bank-policy": bank_policy,
    "policy-output": _schema("approvals/policy", "output"),
    "api": api,
}


def rendered(text: str) -> str:
    """The page with each of its tables as the code is now."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[4]}", text)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("COUNTERSIGN_SECRET_KEY", "not used: nothing is signed here, and nothing is stored")
    django.setup()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text("utf-8")
        page.write_text(rendered(text), "utf-8")


if __name__ == "__main__":
    main()
