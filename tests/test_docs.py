"""The documents are true of the code: tables are what the code says, links lead somewhere, examples load.

A page that tells more than the code does is as wrong as one that tells less.
"""

import ast
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from django.core.management import get_commands, load_command_class

from accounts.tokens import SCOPES
from approvals import keys
from approvals.policy import bundles
from audit.controls.catalogue import controls
from audit.controls.judgements import JUDGES, Result
from config import celeryconfig
from config.environment import INTERNAL, Environment, name_of
from docs import tables
from orchestration.definitions.workflow import load, load_folder
from orchestration.engine.resolve import BECOMES
from orchestration.models import Change, Run, Step

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"])
PAGES = [page for page in PAGES if page.exists()]
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:srcset|src)=\"([^\"]+)\"")
CODE = re.compile(r"`[^`\n]*`")  # a pattern in it looks like a link
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDERS = "accounts|approvals|audit|config|orchestration|examples|tests|docs|static|templates"
NAMED_FILE = re.compile(rf"`((?:{FOLDERS})/[^`\s]*)`")
OTHER_WORDS = (
    "successfully|please|oops|pipeline|playbook|change request|approval request|audit trail|hash chain"
)


def name(page):
    return str(page.relative_to(ROOT))


def text(page):
    return page.read_text("utf-8")


def blocks(language):
    return [
        pytest.param(found[2], id=f"{name(page)}:{text(page)[: found.start()].count(chr(10)) + 1}")
        for page in PAGES
        for found in BLOCK.finditer(text(page))
        if found[1] == language
    ]


def anchors(page):
    """The names that a heading gets: lower case, spaces to dashes, the rest dropped."""
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def column(page, head):
    """What stands in backticks in the first column of each table of this page that begins with this heading."""
    cells, inside = [], False
    for line in text(ROOT / "docs" / page).splitlines():
        first = line.strip("|").partition("|")[0].strip() if line.startswith("|") else None
        inside = first is not None and (inside or first == head)
        cells += re.findall(r"`([^`]+)`", first or "") if inside else []
    return set(cells)


def codes(node):
    """What a class says its code is: `code = "x"`, `code: ClassVar[str] = "x"`, `code, waits = "x", True`."""
    for one in node.body:
        if isinstance(one, ast.Assign | ast.AnnAssign) and one.value is not None:
            target = one.target if isinstance(one, ast.AnnAssign) else one.targets[0]
            first, value = (target, one.value)
            if isinstance(target, ast.Tuple) and isinstance(one.value, ast.Tuple):
                first, value = target.elts[0], one.value.elts[0]
            if ast.unparse(first) == "code" and isinstance(value, ast.Constant):
                yield value.value


@pytest.mark.parametrize("doc", PAGES, ids=name)
def test_every_table_is_what_the_code_says(doc):
    assert tables.rendered(text(doc)) == text(doc), "run `make docs`"


def test_every_kind_of_table_stands_on_a_page():
    placed = [found[2] for page in PAGES for found in tables.MARKED.finditer(text(page))]
    assert sorted(placed) == sorted(tables.TABLES)


def test_every_refusal_in_the_source_has_its_row():
    """Read from the text, so that a class which nothing imports is not overlooked."""
    paths = [path for app in tables.APPS for path in (ROOT / app).rglob("*.py")]
    classes = [
        node for path in paths for node in ast.walk(ast.parse(text(path))) if isinstance(node, ast.ClassDef)
    ]
    written = {code for node in classes for code in codes(node)}
    assert len(written) > 50
    assert column("reference/refusals.md", "Code") == written


def test_every_state_is_explained():
    states = {str(one) for model in (Change, Run, Step) for one in model.State}
    assert column("reference/states.md", "State") == states


def test_every_reason_of_a_control_test_is_listed():
    trees = [ast.parse(text(path)) for path in (ROOT / "audit/controls/judges").glob("*.py")]
    nodes = [one for tree in trees for one in ast.walk(tree)]
    calls = [one for one in nodes if isinstance(one, ast.Call) and ast.unparse(one.func) == "Judgement"]
    written = {one.value for call in calls for one in call.args[1:2] if isinstance(one, ast.Constant)}
    chosen = {"approval_late", "approval_missing"}  # by a variable
    assert column("reference/control-tests.md", "Reason") == written | chosen
    assert column("reference/control-tests.md", "Result") == set(get_args(Result))
    assert set(controls()) == set(JUDGES)


@pytest.mark.parametrize("doc", PAGES, ids=name)
def test_every_link_leads_somewhere(doc):
    missing = []
    for link in (next(filter(None, found)) for found in LINK.findall(CODE.sub("``", text(doc)))):
        target, _, anchor = link.partition("#")
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        place = (doc.parent / target).resolve() if target else doc
        if not place.exists() or (anchor and anchor not in anchors(place)):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("doc", PAGES, ids=name)
def test_every_file_that_is_named_exists(doc):
    named = [found for found in NAMED_FILE.findall(text(doc)) if "<" not in found]
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_every_page_is_reachable_from_the_index():
    index = ROOT / "docs/README.md"
    linked = {(index.parent / found[0].partition("#")[0]).resolve() for found in LINK.findall(text(index))}
    left = set((ROOT / "docs").rglob("*.md")) - linked - {index}
    assert sorted(map(name, left)) == []


@pytest.mark.parametrize("source", blocks("yaml"))
def test_every_workflow_on_a_page_is_accepted(source):
    named = set(
        re.findall(r"(?:\./|(?:playbook|inventory|script|dir|kustomization|chart): )([\w./-]+)", source)
    )
    assert load(source, dict.fromkeys(named, "#!/bin/sh\n")).slug


@pytest.mark.parametrize("doc", [page for page in PAGES if "```rego" in text(page)], ids=name)
def test_every_policy_on_a_page_compiles_and_its_tests_pass(doc):
    """The blocks of one page are one bundle: rules, and tests in a package of that name."""
    found = [one[2] for one in BLOCK.finditer(text(doc)) if one[1] == "rego"]
    kinds = ["_test" if "_test\n" in source else "" for source in found]
    files = {f"doc{at}{kind}.rego": found[at] for at, kind in enumerate(kinds)}
    candidate = bundles.examine(files)
    assert candidate.tests
    assert candidate.failures == []


def test_the_examples_are_accepted():
    folders = sorted(path for path in (ROOT / "examples/workflows").iterdir() if path.is_dir())
    assert len(folders) >= 4
    assert all(load_folder(folder).slug == folder.name for folder in folders)


def test_the_documents_use_the_words_of_the_glossary():
    """And not these for the same things."""
    wrong = re.compile(rf"\b({OTHER_WORDS})\b", re.IGNORECASE)
    found = {(name(page), one[0]) for page in PAGES for one in wrong.finditer(text(page))}
    assert found == {("docs/reference/actions.md", "playbook")}  # Ansible's own word


def plain(words):
    return re.sub(r"[^a-z]+", " ", words.lower()).strip()


def heads():
    """What each line of the changelog is about."""
    return [plain(one) for one in re.findall(r"^- \*\*(.+?)\*\*", text(ROOT / "CHANGELOG.md"), re.MULTILINE)]


def test_the_changelog_says_nothing_twice():
    told = heads()
    assert len(told) > 20
    assert sorted({one for one in told if told.count(one) > 1}) == []


def test_what_is_said_to_be_missing_is_no_heading_anywhere():
    """Neither in the changelog nor among the pages nor among the kinds of entries."""
    page = text(ROOT / "docs/explanation/limits.md").partition("## Not in this version")[2].partition(". ")[0]
    missing = [plain(one) for one in page.split(",")]
    kinds = re.findall(r"^#+ `(\w+)\.", text(ROOT / "docs/reference/entries.md"), re.MULTILINE)
    pages = [path.stem for path in (ROOT / "docs/how-to").glob("*.md")]
    there = {*heads(), *map(plain, kinds), *map(plain, pages)}
    assert len(missing) > 2
    assert [
        (one, head) for one in missing for head in there if one.startswith(head) or head.startswith(one)
    ] == []


def calls():
    """Every command in a block of a page, with what a person would put in its place."""
    for page in PAGES:
        for block in re.findall(r"^```\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if "manage.py " in line:
                    yield pytest.param(line.partition("manage.py ")[2], id=f"{name(page)}:{line[-40:]}")


@pytest.mark.parametrize("line", list(calls()))
def test_every_command_on_a_page_is_understood(line):
    command, *arguments = shlex.split(line)
    app = get_commands()[command]
    assert app in tables.APPS
    load_command_class(app, command).create_parser("manage.py", command).parse_args(arguments)


def test_every_make_target_on_a_page_exists_and_has_its_row():
    targets = set(re.findall(r"^([a-z]+):.*## ", text(ROOT / "Makefile"), re.MULTILINE))
    named = {
        found for page in PAGES for found in re.findall(r"(?:`|^)make ([a-z]+)", text(page), re.MULTILINE)
    }
    assert named - targets == set()
    assert targets - {"help"} - named == set()


def test_every_setting_on_a_page_is_one():
    known = {name_of(one) for one in fields(Environment)} | INTERNAL
    named = {found for page in PAGES for found in re.findall(r"COUNTERSIGN_[A-Z_]+[A-Z]", text(page))}
    assert {one for one in named if one.removesuffix("_FILE") not in known} == set()


@pytest.mark.parametrize("language", ["python", "toml"])
def test_what_the_page_shows_of_the_plug_in_is_what_it_is(language):
    """Every line of a block stands in one of its files, in this order; `...` leaves some out."""
    files = [text(path) for path in sorted((ROOT / "examples/plugin").rglob("*.*")) if path.is_file()]
    page = text(ROOT / "docs/how-to/add-an-action.md")
    shown = [found[2] for found in BLOCK.finditer(page) if found[1] == language]
    assert shown
    for block in shown:
        parts = [part.strip("\n") for part in re.split(r"^ *\.\.\.$", block, flags=re.MULTILINE)]
        assert any(all(part in one for part in parts) for one in files), block


def sources():
    return "".join(text(path) for app in tables.APPS for path in (ROOT / app).rglob("*.py"))


def test_every_sentence_that_is_watched_is_explained():
    counted = set(re.findall(r'"(I\d+_\w+)"', text(ROOT / "orchestration/engine/invariants.py")))
    assert "membership_behind_group" in text(ROOT / "config/probes.py")
    assert column("explanation/gate.md", "Name") == counted | {"membership_behind_group"}


def test_every_celery_setting_that_is_explained_is_made():
    named = column("explanation/execution.md", "Setting")
    assert len(named) > 5
    assert {one for one in named if not hasattr(celeryconfig, one)} == set()


def test_every_domain_of_a_digest_is_listed_and_no_other():
    told = set(re.findall(r"`(countersign/[\w-]+/v1)`", text(ROOT / "docs/reference/ledger-format.md")))
    assert set(re.findall(r"countersign/[\w-]+/v1", sources())) == told


def test_every_purpose_of_a_signature_is_listed():
    line = text(ROOT / "docs/reference/ledger-format.md").partition("the purposes are ")[2].partition(".")[0]
    assert set(re.findall(r"`(\w+)`", line)) == set(get_args(keys.Purpose))


def test_every_scope_of_a_token_is_explained():
    assert column("reference/permissions.md", "Scope") == set(SCOPES)


def test_every_variable_of_a_step_is_listed():
    code = (
        text(ROOT / "orchestration/engine/supervise.py")
        .partition("def _own_variables")[2]
        .partition("\n    }")[0]
    )
    assert column("reference/workflow.md", "Variable") == set(re.findall(r'"([A-Z_]+)":', code))


def test_every_gauge_is_explained():
    made = set(re.findall(r'"(countersign_\w+)"', text(ROOT / "config/probes.py")))
    told = {one.partition("{")[0] for one in column("how-to/watch-it.md", "Gauge")}
    assert told == made


def test_the_answers_to_an_unknown_step_are_the_buttons_of_its_page():
    page = text(ROOT / "templates/orchestration/parts/unknown.html")
    rows = (
        text(ROOT / "docs/how-to/answer-an-unknown-step.md")
        .partition("| Answer |")[2]
        .partition("\n\n")[0]
        .splitlines()[2:]
    )
    assert [row for row in rows if row.split("|")[1].strip() not in page] == []
    assert len(rows) == len(BECOMES)
