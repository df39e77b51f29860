"""The child side of the pool: compiles and evaluates Rego with Regorus, and nothing else.

Runs alone (`python -I regorus.py`), knows the standard library and Regorus only, limits itself before it reads.
It must never open a file or a socket, nor decide anything: it answers what the rules say, or dies.
"""

import json
import re
import resource
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import regorus

ADDRESS_SPACE_BYTES = 384 * 2**20  # the interpreter and the engine start with about 60 MB
CPU_SECONDS = 6  # for one request; an evaluation is stopped earlier, by the parent's clock
ANSWER_BYTES = 1_000_000
KEPT_BUNDLES = 4  # the active one and a few candidates
FAULTS = 100  # as many as anybody reads
DRAWN = re.compile(r"^--> (.+):(\d+):(\d+)$", re.MULTILINE)
ENTRY_POINT = "data.countersign.change"
ANSWERS = {"deny", "require", "warn", "windows", "obligations"}

# Pure functions of their arguments. No network, clock, random, environment, tracing; no strings.count, which
# panics on an empty pattern. A name that is not here does not compile.
ALLOWED = frozenset(
    """
    abs array.concat array.reverse array.slice base64.decode base64.encode base64.is_valid bits.and bits.lsh
    bits.negate bits.or bits.rsh bits.xor ceil concat contains count endswith floor format_int glob.match
    graph.reachable hex.decode hex.encode indexof indexof_n intersection is_array is_boolean
    is_null is_number is_object is_set is_string json.filter json.is_valid json.marshal json.patch json.remove
    json.unmarshal lower max min net.cidr_contains net.cidr_is_valid numbers.range object.filter object.get
    object.keys object.remove object.subset object.union object.union_n product regex.find_n regex.is_valid
    regex.match regex.replace replace round semver.compare semver.is_valid sort split sprintf
    startswith strings.any_prefix_match strings.any_suffix_match strings.reverse substring sum
    time.add_date time.clock time.date time.diff time.parse_duration_ns time.parse_ns time.parse_rfc3339_ns
    time.weekday to_number trim trim_left trim_prefix trim_right trim_space trim_suffix type_name union
    units.parse units.parse_bytes upper walk
    """.split()  # noqa: SIM905 - a list to read
)


class Refused(Exception):
    """The sources do not compile: where, and why, for each fault that was found."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(message)
        self.faults = [{"file": file, "line": line, "message": message}]


def refuse(found: list[Refused]) -> None:
    """All of them at once: whoever mends one wants to know of the next."""
    if found:
        found[0].faults = [fault for one in found for fault in one.faults][:FAULTS]
        raise found[0]


def is_test(path: str) -> bool:
    return path.endswith("_test.rego")


def load(sources: dict[str, str], *, tests: bool) -> Any:
    """An engine with these files; tests are no part of what judges a change."""
    engine, faults = regorus.Engine(), []
    for path, text in sorted(sources.items()):
        if not tests and is_test(path):
            continue
        at("It", path, 0)
        try:
            engine.add_policy(path, text)
        except RuntimeError as error:
            faults.append(placed(path, error))
    refuse(faults)
    return engine


def placed(path: str, error: RuntimeError) -> Refused:
    """The engine draws the place above its words; people get file, line and words."""
    words = plain(error)
    found = DRAWN.search(words)
    if found is None or found[1] != path:
        return Refused(path, 0, words)
    message = words.rpartition("error: ")[2]
    return Refused(path, int(found[2]), f"{message} (column {found[3]})")


def plain(error: BaseException) -> str:
    """The engine's words without its stack, which may be thousands of lines."""
    return str(error).split("Stack backtrace")[0].strip()[:500]


# --- reading the syntax tree -----------------------------------------------------------------------------


def dotted(node: Any) -> str:
    """`input.service.tier` for a reference; indexes that are strings count as names."""
    kind, inner = next(iter(node.items()))
    if kind == "Var":
        return str(inner["value"])
    if kind == "RefDot":
        return f"{dotted(inner['refr'])}.{inner['field'][1]}"
    if kind == "RefBrack":
        index = inner["index"].get("String", {}).get("value")
        return f"{dotted(inner['refr'])}.{index if isinstance(index, str) else '_'}"
    return "_"


def nodes(tree: Any, kind: str) -> Iterator[Any]:
    """Every node of one kind, in a tree of any depth."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get(kind), (dict, list)):
                yield node[kind]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def line_of(node: Any) -> int:
    return int(node.get("span", {}).get("line", 0)) if isinstance(node, dict) else 0


def rule_of(rule: Any) -> tuple[str, Any]:
    """The name that a rule defines, and the node that carries its place."""
    inner = rule.get("Spec") or rule.get("Default")
    head = next(iter(inner["head"].values())) if "head" in inner else inner
    return dotted(head["refr"]), inner


def is_empty(rule: Any) -> bool:
    """Whether a rule says nothing at all: `deny := []`."""
    head = next(iter(rule.get("Spec", {}).get("head", {"": {}}).values()))
    value = (head.get("assign") or {}).get("value", {})
    return any(value.get(kind, {}).get("items") == [] for kind in ("Array", "Set"))


def references(tree: Any) -> set[str]:
    """Every name that is referred to, each as long as it is written."""
    found, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if any(isinstance(node.get(kind), dict) for kind in ("Var", "RefDot", "RefBrack")):
                found.add(dotted(node))
                waiting.extend(indexes(node))
            else:
                waiting.extend(node.values())
    return found


def indexes(node: dict[str, Any]) -> list[Any]:
    """What stands in brackets along a reference, and what it starts from if that is no name."""
    found = []
    while isinstance(inner := node.get("RefDot") or node.get("RefBrack"), dict):
        found += [inner["index"]] if "index" in inner else []
        node = inner["refr"]
    return found if "Var" in node else [*found, node]


def said_rules(tree: Any) -> list[str | None]:
    """What the object literals of a rule write under "rule"; None where it is not a constant."""
    return [
        value.get("String", {}).get("value")
        for literal in nodes(tree, "Object")
        for _, key, value in literal["fields"]
        if key.get("String", {}).get("value") == "rule"
    ]


# --- what may be written ---------------------------------------------------------------------------------


def check_file(path: str, ast: dict[str, Any], builtins: set[str]) -> list[dict[str, Any]]:
    """The rules of one file; Refused where one says what a policy may not say."""
    package = dotted(ast["package"]["refr"])
    aliases = {imported_name(one): dotted(one["refr"]) for one in ast["imports"]}
    found: list[dict[str, Any]] = []
    faults: list[Refused] = []
    own = {rule_of(rule)[0].split("[")[0] for rule in ast["rules"]}
    for rule in ast["rules"]:
        name, node = rule_of(rule)
        try:
            if f"data.{package}" == ENTRY_POINT and not is_test(path):
                check_part(path, name, node)
            check_calls(path, node, own=own, aliases=aliases, builtins=builtins)
            check_mocks(path, node, builtins=builtins)
        except Refused as refused:
            faults.append(refused)
            continue
        reads = {owned(expand(one, aliases), own, package) for one in references(node)}
        found.append(
            {
                "package": package, "name": name, "file": path, "line": line_of(node), "says": said_rules(node),
                "reads": sorted(one for one in reads if one.split(".")[0] == "input"),
                "uses": sorted(one for one in reads if one.startswith("data.")), "empty": is_empty(rule),
            }
        )  # fmt: skip
    refuse(faults)
    return found


def check_imports(files: list[dict[str, Any]]) -> None:
    """Regorus 0.13 finds no rule by `alias.rule` when another file of its package comes before and its own imports.

    It would be undefined, and a demand would vanish without a word: so that is not accepted.
    """
    packages = [(f"data.{dotted(one['ast']['package']['refr'])}.", one["ast"]["imports"]) for one in files]
    several = {name for name, _ in packages if [one for one, _ in packages].count(name) > 1}
    blind = {name for name, imports in packages if imports and name in several}
    faults = []
    for path, imported in [(one["source"]["file"], each) for one in files for each in one["ast"]["imports"]]:
        name = dotted(imported["refr"])
        if any(package.startswith(f"{name}.") for package in blind):
            said = f"import {name}: files of that package import others, which would not be seen through this name."
            said += f" Write {name} in full where it is used, or import one rule of it"
            faults.append(Refused(path, line_of(imported), said))
    refuse(faults)


def check_part(path: str, name: str, node: Any) -> None:
    if name.split(".")[0] not in ANSWERS:
        raise Refused(path, line_of(node), f"{name} is no part of the answer; keep it in another package")


def imported_name(one: dict[str, Any]) -> str:
    alias = one.get("as")
    return str(alias[1]) if isinstance(alias, list) else dotted(one["refr"]).rsplit(".", 1)[-1]


def expand(name: str, aliases: dict[str, str]) -> str:
    root, dot, rest = name.partition(".")
    return aliases.get(root, root) + dot + rest


def owned(name: str, own: set[str], package: str) -> str:
    """A rule of the same package by its full name."""
    return f"data.{package}.{name}" if name.split(".")[0] in own else name


def check_calls(path: str, rule: Any, *, own: set[str], aliases: dict[str, str], builtins: set[str]) -> None:
    for call in nodes(rule, "Call"):
        name = expand(dotted(call["fcn"]), aliases)
        known = name in ALLOWED or name.startswith("data.") or (name in own and name not in builtins)
        if not known:
            raise Refused(path, line_of(call) or line_of(rule), f"{name} may not be called from a policy")


def check_mocks(path: str, rule: Any, *, builtins: set[str]) -> None:
    """`with` belongs to tests, and may replace data and input only: never bring a function in by a side door."""
    for statement in nodes(rule, "stmts"):
        for mod in [mod for one in statement for mod in one.get("with_mods", [])]:
            target = dotted(mod["refr"])
            if not is_test(path):
                raise Refused(path, line_of(rule), "with belongs to tests")
            if target.split(".")[0] not in {"input", "data"}:
                raise Refused(path, line_of(rule), f"with may not replace {target}")
            for name in references(mod["as"]):
                if name in builtins and name not in ALLOWED:
                    raise Refused(path, line_of(rule), f"{name} may not be used from a policy")


def known_builtins() -> set[str]:
    engine = regorus.Engine()
    engine.add_policy("own.rego", "package own\nnames := opa.runtime().builtins")
    answer = json.loads(engine.eval_query_as_json("data.own.names"))
    named = set(answer["result"][0]["expressions"][0]["value"])
    return named | {"print", "rego.metadata.rule", "rego.metadata.chain"}


# --- the three requests ----------------------------------------------------------------------------------


def compile_sources(sources: dict[str, str]) -> list[dict[str, Any]]:
    builtins = known_builtins()
    files = json.loads(load(sources, tests=True).get_ast_as_json())
    rules: list[dict[str, Any]] = []
    faults: list[Refused] = []
    for one in files:
        try:
            rules += check_file(one["source"]["file"], one["ast"], builtins)
        except Refused as refused:
            faults.append(refused)
    refuse(faults)
    check_imports(files)
    try:
        load(sources, tests=False).eval_query_as_json("data.countersign_compiles")  # resolves every function
    except RuntimeError as error:
        raise Refused("", 0, plain(error)) from error
    return rules


def run_tests(sources: dict[str, str]) -> list[dict[str, Any]]:
    engine, results = load(sources, tests=True), []
    for rule in compile_sources(sources):
        if is_test(rule["file"]) and rule["name"].startswith("test_"):
            place = {key: rule[key] for key in ("name", "file", "line")}
            at(**place)
            verdict, message = ask_test(engine.clone(), f"data.{rule['package']}.{rule['name']}")
            results.append({**place, "passed": verdict, "message": message})
    return results


def ask_test(engine: Any, query: str) -> tuple[bool, str]:
    try:
        answer = json.loads(engine.eval_query_as_json(query))
    except RuntimeError as error:
        return False, plain(error)
    values = [one["value"] for row in answer.get("result", []) for one in row["expressions"]]
    return values == [True], "" if values == [True] else "it is not true"


def evaluate(engine: Any, facts: Any) -> Any:
    """Each part by its name; the whole at once would be blind for what files import, see `check_imports`."""
    engine.set_input_json(json.dumps(facts))
    asked = {one: json.loads(engine.eval_query_as_json(f"{ENTRY_POINT}.{one}")) for one in sorted(ANSWERS)}
    if not any(answer.get("result") for answer in asked.values()):
        raise Refused("", 0, f"{ENTRY_POINT} is undefined")
    rows = ((one, answer["result"][0]) for one, answer in asked.items() if answer.get("result"))
    return {one: row["expressions"][0]["value"] for one, row in rows}


class Server:
    """Keeps compiled bundles by digest, so that a decision costs one evaluation."""

    def __init__(self) -> None:
        self.engines: OrderedDict[str, Any] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": self.value(request)}
        except KeyError:
            return {"missing": True}
        except Refused as refused:
            return {"refused": refused.faults}
        except RuntimeError as error:
            return {"refused": [{"file": "", "line": 0, "message": plain(error)}]}

    def value(self, request: dict[str, Any]) -> Any:
        if request["do"] == "evaluate":
            return evaluate(self.engine(request).clone(), request["input"])
        read = compile_sources if request["do"] == "compile" else run_tests
        return read(request["sources"])

    def engine(self, request: dict[str, Any]) -> Any:
        name = request["bundle"]
        if name not in self.engines:
            self.engines[name] = load(request["sources"], tests=False)  # KeyError: the parent sends them then
        self.engines.move_to_end(name)
        while len(self.engines) > KEPT_BUNDLES:
            self.engines.popitem(last=False)
        return self.engines[name]


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def allow_cpu() -> None:
    """The limit counts the whole life of a process; each request gets its share on top."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def main() -> None:
    limit()
    server, source = Server(), sys.stdin.buffer
    say({"ready": True})
    while len(head := source.read(4)) == 4:
        allow_cpu()
        say(server.answer(json.loads(source.read(struct.unpack(">I", head)[0]))))


def at(name: str, file: str, line: int) -> None:
    """Where it is, for the parent to name should this process not survive it."""
    say({"at": {"file": file, "line": line, "message": name}})


def say(answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    if len(data) > ANSWER_BYTES:
        said = f"the answer has {len(data)} bytes; {ANSWER_BYTES} are allowed"
        data = json.dumps({"refused": [{"file": "", "line": 0, "message": said}]}).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
