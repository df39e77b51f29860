"""What keeps the house small and its promises in one place each: properties of the source tree, read as text.

Import directions are contracts in pyproject.toml; here stands what an import cannot show. Every exception has its
reason, and a test fails once nobody needs it any more.
"""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
APPS = ("accounts", "approvals", "audit", "config", "orchestration")
FILE_LINES, FUNCTION_LINES = 400, 60

# --- exceptions, each with its reason -----------------------------------------------------------------------

LONG_FILES = {"audit/verify.py": "handed to an auditor as one file; its docstring says so"}
STARTS_PROCESSES = {
    "approvals/policy/pool.py": "evaluates policy in child processes with limits",
    "config/embedded": "runs the servers and the product's own processes",
    "config/management/commands/up.py": "becomes config.embedded, by exec",
    "orchestration/actions/program.py": "runs a tool inside the tree of the step that asks for it",
    "orchestration/engine/boxed.py": "makes one box to see whether this machine does",
    "orchestration/engine/supervise.py": "starts the fork server of the steps",
    "orchestration/outgoing/sender.py": "starts the process that opens a destination's secret and sends",
    "orchestration/engine/supervisor": "forks a step's supervisor, and that its process",
}
WRITES_STATE = {
    "approvals/chain.py": "the state of a chain",
    "approvals/enrolment.py": "the state of a passkey",
    "approvals/replays.py": "the state of a replay",
    "audit/reports/exports.py": "the state of an export",
    "orchestration/catalogue.py": "the state of a workflow version",
    "orchestration/lifecycle.py": "the states of a change, a run and a step",
}
WRITTEN_TWICE = {
    "account.scopes": "by an edit, and once by the upgrade that brought ceilings",
}
WRITERS_OF_ENTRIES = {
    "record",
    "record_all",
    "_record",
    "touch",
    "touch_run",
    "_create",
    "_edit",
    "_record_version",
}
PROCESS_MODULES = {"subprocess", "multiprocessing", "pty"}
PROCESS_CALL = re.compile(
    r"os\.(fork|forkpty|system|popen|posix_spawnp?|spawn\w+|exec\w+)|asyncio\.create_subprocess_\w+"
)
UNFINISHED = re.compile(r"\b(NotImplemented(Error)?|TODO|FIXME|XXX)\b")


@cache
def sources(*suffixes):
    """The product's own files: its apps, templates and scripts."""
    places = [*(ROOT / app for app in APPS), ROOT / "templates", ROOT / "static/src"]
    found = [path for place in places for path in place.rglob("*") if path.suffix in suffixes]
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in sorted(found)
        if not path.name.startswith("0001_")  # made by makemigrations
    }


@cache
def trees():
    return {name: ast.parse(text) for name, text in sources(".py").items()}


def workshop():
    """What is not the product, and has to say what it is for all the same."""
    found = [path for folder in ("tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in found}


def nodes(kind):
    return [
        (name, node) for name, tree in trees().items() for node in ast.walk(tree) if isinstance(node, kind)
    ]


def within(name, places):
    return any(name == place or name.startswith(f"{place}/") for place in places)


# --- size and shape -----------------------------------------------------------------------------------------


def test_no_file_is_longer_than_four_hundred_lines():
    everything = sources(".py", ".html", ".js", ".css")
    long = {name for name, text in everything.items() if len(text.splitlines()) > FILE_LINES}
    assert long == set(LONG_FILES)


def test_the_long_file_says_why_it_is_one():
    assert "one file" in (ast.get_docstring(trees()["audit/verify.py"]) or "")


def test_no_function_is_longer_than_sixty_lines():
    functions = nodes((ast.FunctionDef, ast.AsyncFunctionDef))
    assert len(functions) > 500
    long = [f"{name}: {one.name}" for name, one in functions if one.end_lineno - one.lineno >= FUNCTION_LINES]
    assert long == []


def test_half_of_the_functions_fit_in_eight_lines():
    functions = nodes((ast.FunctionDef, ast.AsyncFunctionDef))
    assert median(one.end_lineno - one.lineno + 1 for _, one in functions) <= 8


def test_every_module_says_what_it_is_for():
    modules = {**trees(), **workshop()}
    assert [name for name, tree in modules.items() if tree.body and not ast.get_docstring(tree)] == []


def test_nothing_is_left_for_later():
    found = [name for name, text in sources(".py", ".html", ".js", ".css").items() if UNFINISHED.search(text)]
    assert found == []


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "helpers", "services", "common", "core", "misc"}
    assert [name for name in sources(".py") if set(Path(name).with_suffix("").parts) & drawers] == []


def test_migrations_need_nothing_that_a_later_version_may_rename():
    """A lambda cannot be written into a migration by name, and a function that moves breaks old ones."""
    texts = [path.read_text("utf-8") for app in APPS for path in (ROOT / app).glob("migrations/0*.py")]
    assert len(texts) >= 8
    named = {
        name
        for text in texts
        for name in re.findall(r"\bdefault=([\w.]*lambda[\w.<>]*|[a-z]\w*\.[\w.]+)", text)
    }
    assert named <= {"audit.canonical.uuid7", "django.utils.timezone.now"}


# --- one place for each promise -----------------------------------------------------------------------------


def started():
    """Where processes come from: an import of a module for it, or a call of the system's own."""
    for name, node in nodes((ast.Import, ast.ImportFrom, ast.Attribute)):
        if isinstance(node, ast.Import):
            used = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            used = {(node.module or "").partition(".")[0]}
        elif PROCESS_CALL.fullmatch(ast.unparse(node)):
            yield name
            continue
        else:
            continue
        if used & PROCESS_MODULES:
            yield name


def test_processes_start_in_the_named_places_only():
    found = set(started())
    assert {name for name in found if not within(name, STARTS_PROCESSES)} == set()
    assert {place for place in STARTS_PROCESSES if not any(within(name, [place]) for name in found)} == set()


def test_no_way_to_a_process_is_hidden_in_a_text():
    found = [
        name for name, node in nodes(ast.Call) if ast.unparse(node.func) in {"eval", "exec", "__import__"}
    ]
    assert found == []
    assert [name for name, node in nodes(ast.keyword) if node.arg == "shell"] == []


def states(node):
    """Whether this names a state as what is written: `.state` at the left, `state=`, or `{"state": ...}`."""
    if isinstance(node, ast.Dict):
        return any(isinstance(key, ast.Constant) and key.value == "state" for key in node.keys)
    if isinstance(node, ast.keyword):
        return node.arg == "state" or states(node.value)
    return isinstance(node, ast.Attribute) and node.attr == "state"


def writes_state(node):
    """An assignment, an update or a writer's columns with a state in it, or an SQL text that sets one."""
    if isinstance(node, ast.Assign):
        flat = [one for target in node.targets for one in getattr(target, "elts", [target])]
        columns = [node.value] if any(ast.unparse(one) == "columns" for one in flat) else []
        return any(states(one) for one in [*flat, *columns])
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).rpartition(".")[2]
        if not re.fullmatch(r"(bulk_)?update|_write\w*|touch\w*|move\w*", called):
            return False
        return any(
            states(one) for one in [*node.keywords, *(one for one in node.args if isinstance(one, ast.Dict))]
        )
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        sets = re.findall(r"\bUPDATE\b.*?\bSET\b(.*?)(?:\bFROM\b|\bWHERE\b|$)", node.value, re.DOTALL)
        return any(re.search(r"\bstate\s*=", one) for one in sets)
    return False


def test_a_state_is_written_by_its_one_writer():
    assert {name for name, node in nodes(ast.AST) if writes_state(node)} == set(WRITES_STATE)


def test_the_statement_that_writes_governed_rows_has_one_caller_beside_the_ledger():
    """Whatever columns it is given: a state may be among them."""
    known = {
        name
        for name, node in nodes(ast.ImportFrom)
        for one in node.names
        if (node.module, one.name) in {("audit.ledger", "rows"), ("audit.ledger.rows", "update")}
    }
    assert known == {"audit/ledger/record.py", "orchestration/lifecycle.py"}


def test_a_file_is_handed_out_in_pieces_by_one_place():
    """Under ASGI an ordinary iterator is read to its end first."""
    made = {name for name, node in nodes(ast.Call) if ast.unparse(node.func) == "StreamingHttpResponse"}
    assert made == {"audit/rest/streamed.py"}


def test_the_gate_is_asked_once():
    asked = [name for name, node in nodes(ast.Attribute) if ast.unparse(node) == "gate.authorise"]
    assert "authorise" not in {one.name for _, node in nodes(ast.ImportFrom) for one in node.names}
    assert asked == ["orchestration/engine/claim.py"]


def test_a_permit_is_made_by_the_gate_alone():
    made = [
        name for name, node in nodes(ast.Call) if ast.unparse(node.func) in {"permits.issue", "permit.issue"}
    ]
    assert made == ["approvals/gate.py"]
    rows = [
        name
        for name, node in nodes(ast.Call)
        if ast.unparse(node.func) in {"Permit", "Permit.objects.create"}
    ]
    assert rows == ["approvals/permit.py"]


def test_the_gate_only_reads_whether_a_sign_off_is_authentic():
    used = re.findall(r"\bsignoffs\.(\w+)", sources(".py")["approvals/gate.py"])
    assert used == ["is_authentic"]


def test_an_entry_of_one_kind_is_written_in_one_module():
    kinds = defaultdict(set)
    for name, node in nodes(ast.Call):
        if ast.unparse(node.func).rpartition(".")[2] in WRITERS_OF_ENTRIES:
            for text in [one.value for one in node.args if isinstance(one, ast.Constant)]:
                if isinstance(text, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", text):
                    kinds[text].add(name)
    assert len(kinds) > 20
    assert {kind for kind, places in kinds.items() if len(places) > 1} == set(WRITTEN_TWICE)


@pytest.mark.parametrize(
    "word", ["receiver", "GenericForeignKey", "threading.local", "csrf_exempt", "mark_safe"]
)
def test_no_signal_generic_relation_thread_local_or_open_door(word):
    assert [name for name, text in sources(".py").items() if re.search(rf"\b{re.escape(word)}\b", text)] == []


def test_every_exception_has_its_reason():
    reasons = [
        *LONG_FILES.values(),
        *STARTS_PROCESSES.values(),
        *WRITES_STATE.values(),
        *WRITTEN_TWICE.values(),
    ]
    assert all(len(reason) > 10 for reason in reasons)
