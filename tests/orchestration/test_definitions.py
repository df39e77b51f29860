"""Workflows as code: what is taken keeps its meaning and order, everything else is refused with its place, at once."""

import json
import resource
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from accounts.models import Team, User
from approvals.calendar.schedule import Schedule
from audit.canonical import canonical, parse
from orchestration.definitions import digest, inputs
from orchestration.definitions.digest import Content
from orchestration.definitions.inputs import InputsInvalid
from orchestration.definitions.source import BadDefinition, read
from orchestration.definitions.substitution import resolved, substitute
from orchestration.definitions.workflow import document, load, load_folder, schema
from orchestration.models import Environment, Service, Workflow, WorkflowVersion

EXAMPLES = sorted(Path("examples/workflows").iterdir())
WORKFLOW = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy-service, title: Deploy a service, owner: platform}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+([.][0-9]+)*$', title: Version}
    count: {type: integer, default: 2, minimum: 0}
    quick: {type: boolean, default: false}
  environments: [staging, production]
  steps:
    build:
      uses: command
      with: {argv: [./build.sh, "{{inputs.version}}", "n={{inputs.count}}"]}
      env: {MODE: "{{inputs.quick}}"}
      effect: idempotent
      timeout: 10m
      retries: 2
    pause: {needs: [build], uses: wait, with: {seconds: "{{inputs.count}}"}}
    verify: {needs: [pause], uses: http, with: {url: "https://{{service}}.internal/healthz", expect: 200}}
"""
FILES = {"build.sh": "#!/bin/sh\necho built\n", "unused.txt": "nobody names it\n"}


def refused(text, files=None):
    with pytest.raises(BadDefinition) as found:
        load(text, files)
    return found.value


# --- YAML (X05) -------------------------------------------------------------------------------------------

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{letter}: &{letter} [{','.join(['*' + before] * 9)}]\n"
    for before, letter in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "python object": "!!python/object/apply:os.system ['id']",
    "python name": "a: !!python/name:os.system",
    "local tag": "a: !x y",
    "binary": "a: !!binary aGk=",
    "timestamp tag": "a: !!timestamp 2020-01-01",
    "alias bomb": LAUGHS,
    "anchor": "a: &x 1",
    "alias": "a: *x",
    "merge key": "a: {<<: {b: 1}}",
    "merge cycle": "a: &a {<<: *a}",
    "deep sequence": "[" * 5000,
    "deep mapping": "{a: " * 5000,
    "deep block": "\n".join("  " * n + "a:" for n in range(200)),
    "many values": "- x\n" * 10_001,
    "wide": "{" + ",".join(f"k{n}: {n}" for n in range(6000)) + "}",
    "huge scalar": "a: " + "x" * 10_000_000,
    "second document": "a: 1\n---\nb: 2",
    "second key": "a: 1\nb: 2\na: 3",
    "second key, quoted": 'a: 1\n"a": 2',
    "key that is a list": "? [a, b]\n: 1",
    "key that is long": "a" * 201 + ": 1",
    "NUL": 'a: "\\0"',
    "escape sequence": 'a: "\\e[2J"',
    "half surrogate": 'a: "\\ud800"',
    "raw control character": "a: \x01",
    "fraction": "a: 1.5",
    "empty": "",
    "only a comment": "# nothing",
    "unclosed": "a: [1, 2",
    "tab": "a:\n\t- b",
    "directive": "%YAML 9.9\n---\na: 1\n...\n%",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_x05_hostile_yaml_is_refused_quickly_and_in_little_memory(name):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    found = refused(HOSTILE[name])
    assert found.status == 422
    assert found.errors
    assert time.thread_time() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("no", "no"), ("yes", "yes"), ("off", "off"), ("y", "y"), ("1e3", "1e3"), ("0x1f", "0x1f"), ("010", "010"),
        ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("2026-01-01", "2026-01-01"), (".inf", ".inf"),
        ("1.2.3", "1.2.3"), ("'1'", "1"), ('"true"', "true"), ("0o17", "0o17"), ("-", None), ("1", 1), ("-7", -7),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("NaN", "NaN"),
    ],
)  # fmt: skip
def test_only_what_looks_like_nothing_else_is_not_text(written, read_as):
    if written == "-":
        assert read("a:\n  -").value == {"a": [None]}
    else:
        assert read(f"a: {written}").value == {"a": read_as}


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_is_read_or_refused_and_never_breaks(text):
    with suppress(BadDefinition):
        assert isinstance(canonical(read(text).value), bytes)


# --- the shape (X07) --------------------------------------------------------------------------------------


def test_a_good_definition_keeps_its_order_and_its_author_s_words():
    definition = load(WORKFLOW, FILES)
    spec = definition.document["spec"]
    assert [step["key"] for step in spec["steps"]] == ["build", "pause", "verify"]
    assert [one["name"] for one in spec["inputs"]] == ["version", "count", "quick"]
    assert spec["steps"][0]["with"]["env"] == {"MODE": "{{inputs.quick}}"}
    version = WorkflowVersion(document=json.loads(json.dumps(definition.document, sort_keys=True)))
    assert list(document(version)["spec"]["steps"]) == ["build", "pause", "verify"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("needs: [build]", "needs: [biuld]", "line 20, column 21", "no such step"),
        ("needs: [build]", "needs: [pause]", "line 20, column 21", "needs itself"),
        ("needs: [build]", "needs: [verify]", "line 20, column 21", "pause needs verify needs pause"),
        ("needs: [build]", "phase: plan", "line 20", "wait cannot plan"),
        (
            "  environments:",
            "  lock: '{{inputs.nothing}}'\n  environments:",
            "line 11, column 9",
            "refers to nothing",
        ),
        ("needs: [build]", "depends: [build]", "line 20", "takes no depends"),
        ("kind: Workflow\n", "", "line 2", "lacks kind"),
        ("uses: wait", "uses: shell", "line 20", "no action named shell"),
        ('seconds: "{{inputs.count}}"', "seconds: 9999", "line 20", "3600"),
        ("{{inputs.version}}", "{{inputs.verison}}", "line 15", "refers to nothing"),
        ("{{inputs.version}}", "{{version}}", "line 15", "refers to nothing"),
        ("{{inputs.version}}", "{{7*7}}", "line 15", "no plain name"),
        ("{{inputs.version}}", "{{ inputs.version | safe }}", "line 15", "no plain name"),
        ("{{inputs.version}}", "{{inputs.__class__}}", "line 15", ""),
        ("effect: idempotent", "effect: at_most_once", "line 19", "retries need"),
        ("effect: idempotent", "effect: reconcilable", "line 17", "reconcilable"),
        ("timeout: 10m", "timeout: soon", "line 18", "soon"),
        ("timeout: 10m", "timeout: 10", "line 18", "10"),
        ("retries: 2", "retries: 11", "line 19", "11"),
        ("default: 2", "default: many", "line 9", "default"),
        ("'^[0-9]+([.][0-9]+)*$'", "'^[0-9'", "line 8", "regex"),
        ("type: integer", "type: number", "line 9", "number"),
        ("{MODE:", "{LD_PRELOAD:", "line 14", "LD_PRELOAD"),
        ("{MODE:", "{PATH:", "line 14", "PATH"),
        ("environments: [staging, production]", "environments: []", "line 11", ""),
        ("environments: [staging", "environments: ['{{service}}'", "line 11", ""),
        ("name: deploy-service", "name: schema", "line 4", ""),
        ("name: deploy-service", "name: Deploy Service", "line 4", ""),
    ],
)
def test_x07_each_fault_is_refused_with_its_place_in_words(old, new, place, words):
    assert old in WORKFLOW
    found = refused(WORKFLOW.replace(old, new, 1), FILES)
    details = " ".join(error["detail"] for error in found.errors)
    assert place in details
    assert words in details


def test_x07_a_graph_of_many_steps_is_judged_quickly():
    head = WORKFLOW[: WORKFLOW.index("  steps:")]
    chain = "".join(
        f"    s{n}: {{uses: wait, with: {{seconds: 0}}, needs: [s{n - 1}]}}\n" for n in range(1, 700)
    )
    text = f"{head}  steps:\n    s0: {{uses: wait, with: {{seconds: 0}}}}\n{chain}"
    began = time.monotonic()
    assert len(load(text).document["spec"]["steps"]) == 700
    around = text.replace("s0: {uses", "s0: {needs: [s699], uses", 1)
    assert "waits for itself" in refused(around).errors[0]["detail"]
    assert time.monotonic() - began < 10


def test_x07_a_fan_out_beyond_the_cap_is_refused():
    steps = "".join(f"    s{n}: {{uses: wait}}\n" for n in range(10_001))
    assert refused(WORKFLOW[: WORKFLOW.index("  steps:")] + "  steps:\n" + steps).status == 422


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../b", "a//b", "./a", "a\\b", "a\nb", "", "a/", "\u202ex"]
)
def test_x08_a_file_stays_below_its_folder(name):
    assert refused(WORKFLOW, {**FILES, name: "x"}).status == 422


def test_files_are_bounded_and_a_step_lists_only_those_that_there_are():
    assert refused(WORKFLOW, {"a": "x" * 256_001}).status == 422
    assert refused(WORKFLOW, {f"f{n}": "" for n in range(51)}).status == 422
    text = WORKFLOW.replace("uses: command", "uses: command\n      files: [missing.py]")
    assert "no file missing.py" in str(refused(text, FILES))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda one: one.name)
def test_the_examples_are_definitions(folder):
    definition = load_folder(folder)
    assert definition.slug == folder.name
    Draft202012Validator.check_schema(inputs.schema(definition.document))


def test_the_published_schema_is_one_and_closed():
    Draft202012Validator.check_schema(schema())
    closed = [schema(), schema()["properties"]["spec"], *schema()["$defs"].values()]
    named = [one for one in closed if one.get("type") == "object" and "propertyNames" not in one]
    assert all(one["additionalProperties"] is False for one in named)
    assert all(isinstance(one["additionalProperties"], dict) for one in closed if "propertyNames" in one)


# --- what is put in (X02, X04) ----------------------------------------------------------------------------

PAYLOADS = [
    "; id", "$(id)", "`id`", "a && b", "a | b", "a > /etc/passwd", "'; id; '", '"; id; "', "{{7*7}}", "${7*7}",
    "#{7*7}", "{x.__class__}", "%n%n%n", "{0}", "{{service}}", "{{inputs.count}}", "../../etc/passwd", "%2e%2e/",
    "<script>", "*", "~", "$HOME", "!!", "\\", "'", '"', "\u202egnp", "\u200b", "${IFS}", "{{inputs.version}}",
    "{{ service }}", "%{TRUE}",
]  # fmt: skip


def content(**changed):
    definition = load(WORKFLOW, FILES)
    owner = Team(slug="payments", name="Payments")
    version = WorkflowVersion(
        workflow=Workflow(slug="deploy-service", title="Deploy", owner=owner), number=1, digest=definition.digest,
        document=definition.document, files=definition.files, author=User(),
    )  # fmt: skip
    known = {
        "change_id": UUID(int=1),
        "number": 1,
        "version": version,
        "service": Service(id=UUID(int=2), slug="web-bank", version=1, owner=owner),
        "environment": Environment(id=UUID(int=3), slug="production", version=1),
        "inputs": {"version": "1.2.3", "count": 2, "quick": False},
        "reason": "Because.",
        "requesters": [UUID(int=4)],
        "bundle_digest": "sha256:b",
        "freezes": ["f:1"],
    }
    return Content(**{**known, **changed})


@pytest.mark.parametrize("payload", PAYLOADS)
def test_x04_what_a_person_types_arrives_as_they_typed_it_and_as_nothing_else(payload):
    with_ = {"argv": ["./run", "{{inputs.x}}", "x={{inputs.x}}"], "env": {"X": "{{inputs.x}}"}}
    known = {"inputs.x": payload, "service": "web-bank", "inputs.count": 2, "inputs.version": "1"}
    assert resolved(with_, known) == {"argv": ["./run", payload, f"x={payload}"], "env": {"X": payload}}


@given(st.text(max_size=80), st.text(max_size=80))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_x04_a_value_is_never_read_again(one, other):
    known = {"inputs.a": one, "inputs.b": other}
    assert substitute("{{inputs.a}}|{{inputs.b}}", known) == f"{one}|{other}"
    assert substitute({"k": ["{{inputs.a}}"]}, known) == {"k": [one]}


def test_a_whole_reference_keeps_its_type_where_the_action_takes_it_and_is_text_for_a_program():
    steps = {step["key"]: step["with"] for step in digest.steps(content())}
    assert steps["build"] == {"argv": ["./build.sh", "1.2.3", "n=2"], "env": {"MODE": "false"}}
    assert steps["pause"] == {"seconds": 2}
    assert steps["verify"]["url"] == "https://web-bank.internal/healthz"


@pytest.mark.parametrize("value", ["-oProxyCommand=id", "--version", "-"])
def test_x02_an_argument_never_becomes_an_option(value):
    with pytest.raises(InputsInvalid) as found:
        digest.steps(content(inputs={"version": value, "count": 2, "quick": False}))
    assert found.value.errors[0]["pointer"] == "/inputs/version"


def test_behind_two_dashes_an_argument_may_begin_with_one():
    text = WORKFLOW.replace("[./build.sh,", "[./build.sh, --,")
    version = replace_version(content(), load(text, FILES).document)
    steps = digest.steps(replace(version, inputs={"version": "-1", "count": 2, "quick": False}))
    assert steps[0]["with"]["argv"][1:3] == ["--", "-1"]


@pytest.mark.parametrize("value", ["1\n", "1\r", "1\x00", "1\x1b[2J", "1\t", "", " 1", "1 "])
def test_a_pattern_is_for_the_whole_of_one_line(value):
    with pytest.raises(InputsInvalid):
        inputs.fit(load(WORKFLOW, FILES).document, {"version": value})


@pytest.mark.parametrize(
    "name", ["PATH", "LD_PRELOAD", "BASH_ENV", "__proto__", "version ", "Version", "count\x00"]
)
def test_x03_an_input_that_was_not_declared_is_refused(name):
    with pytest.raises(InputsInvalid) as found:
        inputs.fit(load(WORKFLOW, FILES).document, {"version": "1", name: "x"})
    assert found.value.errors[0]["pointer"] == f"/inputs/{name}"


# --- the digest -------------------------------------------------------------------------------------------


def replace_version(one, altered, **columns):
    version = WorkflowVersion(
        workflow=one.version.workflow,
        number=1,
        digest=one.version.digest,
        document=altered,
        files=one.version.files,
    )
    for name, value in columns.items():
        setattr(version, name, value)
    return replace(one, version=version)


def named(one):
    return digest.digest(digest.document(one))


WINDOW = datetime(2026, 1, 1, tzinfo=UTC)
DAILY = Schedule("UTC", datetime(2026, 1, 1), datetime(2026, 1, 1, 2), "FREQ=DAILY;COUNT=3")  # noqa: DTZ001 - a wall's
MATTERS: dict[str, dict[str, Any]] = {
    "the change": {"change_id": UUID(int=9)},
    "the revision": {"number": 2},
    "the service": {"service": Service(id=UUID(int=9), slug="web-bank", version=1)},
    "the service's version": {"service": Service(id=UUID(int=2), slug="web-bank", version=2)},
    "the environment": {"environment": Environment(id=UUID(int=9), slug="production", version=1)},
    "the environment's version": {"environment": Environment(id=UUID(int=3), slug="production", version=2)},
    "an input": {"inputs": {"version": "1.2.4", "count": 2, "quick": False}},
    "the type of an input": {"inputs": {"version": "1.2.3", "count": 2, "quick": True}},
    "the reason": {"reason": "Because!"},
    "who asks": {"requesters": [UUID(int=4), UUID(int=5)]},
    "the policy": {"bundle_digest": "sha256:c"},
    "the calendar": {"freezes": ["f:2"]},
    "the window's begin": {"not_before": WINDOW},
    "the window's end": {"not_after": WINDOW},
    "that it comes back": {"repeats": DAILY},
    "how often it comes back": {"repeats": replace(DAILY, rule="FREQ=DAILY;COUNT=4")},
    "by which clock it comes back": {"repeats": replace(DAILY, zone="Europe/Zurich")},
}


@pytest.mark.parametrize("what", MATTERS)
def test_whatever_can_alter_what_happens_alters_the_digest(what):
    assert named(content(**MATTERS[what])) != named(content())


def test_so_does_each_part_of_a_step_and_each_byte_of_a_script():
    base = named(content())
    for old, new in (
        ("10m", "11m"), ("retries: 2", "retries: 1"), ("idempotent", "read_only"), ("./build.sh,", "./build.sh, x,"),
        ("needs: [build]", "needs: []"), ("uses: wait", "uses: wait, title: Pause"), ("MODE", "MODUS"),
    ):  # fmt: skip
        altered = load(WORKFLOW.replace(old, new), FILES)
        assert named(replace_version(content(), altered.document)) != base, new
        assert altered.digest != load(WORKFLOW, FILES).digest
    one = content()
    assert (
        named(replace_version(one, one.version.document, files={**FILES, "build.sh": "#!/bin/sh\n"})) != base
    )
    assert named(replace_version(one, one.version.document, files={**FILES, "unused.txt": "x"})) != base
    assert load(WORKFLOW, {**FILES, "more": ""}).digest != load(WORKFLOW, FILES).digest


def test_and_nothing_else_does():
    base = content()
    spaced = load(
        WORKFLOW.replace("metadata: {name: deploy-service, ", "metadata: {name:  deploy-service,  "), FILES
    )
    same = [
        content(),
        content(inputs={"quick": False, "count": 2, "version": "1.2.3"}),
        content(requesters={UUID(int=4)}),
        replace_version(base, spaced.document),
        replace_version(base, json.loads(json.dumps(base.version.document, sort_keys=True))),
    ]
    assert {named(one) for one in same} == {named(base)}
    assert load(WORKFLOW + "\n# a remark\n", FILES).digest == load(WORKFLOW, FILES).digest


def test_the_document_is_canonical_and_holds_only_the_scripts_that_a_step_names():
    held = parse(digest.document(content()))
    assert [sorted(step["files"]) for step in held["steps"]] == [["build.sh"], [], []]
    assert sorted(held["files"]) == ["build.sh", "unused.txt"]
    assert held["files"]["build.sh"] == digest.digest_of_text(FILES["build.sh"])
    assert held["effects"] == ["idempotent", "read_only"]
