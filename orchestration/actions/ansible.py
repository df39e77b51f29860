"""`ansible`: a playbook from the files beside the workflow, run by ansible-runner in the step's own process.

What a person typed becomes a variable that Ansible is told not to trust: it is never looked at as a template.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import yaml

from orchestration.actions import fields
from orchestration.actions.ansible_events import Watch
from orchestration.actions.base import Cancelled, ChildAction, Context, Result
from orchestration.actions.fields import END

OWN = (
    "environment|groups|group_names|hostvars|inventory_(dir|file|hostname)|omit|play_hosts|playbook_dir|vars"
)
HERE = "localhost ansible_connection=local ansible_python_interpreter={python}\n"
# Secrets that Ansible itself takes, as files, by the names that a step gives them.
SECRETS = {
    "BECOME_PASSWORD": "ANSIBLE_BECOME_PASSWORD_FILE",
    "CONNECTION_PASSWORD": "ANSIBLE_CONNECTION_PASSWORD_FILE",
    "PRIVATE_KEY": "ANSIBLE_PRIVATE_KEY_FILE",
    "VAULT_PASSWORD": "ANSIBLE_VAULT_PASSWORD_FILE",
}
TAG = {"type": "string", "maxLength": 100, "pattern": rf"^[A-Za-z0-9_][A-Za-z0-9_.-]*{END}"}


class Ansible(ChildAction):
    name = "ansible"
    summary = "Runs Ansible; as a plan, in check mode with its differences."
    plans = True
    checks = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["playbook"],
        "properties": {
            "playbook": {
                **fields.PATH,
                "description": "a file beside the workflow; its folder comes with it",
            },
            "inventory": {**fields.PATH, "description": "a file or folder beside it; left out: localhost"},
            "extra_vars": {
                **fields.named(rf"(?!ansible_)(?!({OWN}){END})[a-z][A-Za-z0-9_]*", fields.SCALAR, most=100),
                "description": "variables; taken literally, never as templates",
            },
            "limit": {
                "type": "string",
                "maxLength": 1000,
                "pattern": rf"^[A-Za-z0-9_*\[][A-Za-z0-9_.:,&!*\[\]-]*{END}",
                "description": "hosts of the inventory, as Ansible writes patterns",
            },
            "tags": fields.listed(TAG, most=50),
            "skip_tags": fields.listed(TAG, most=50),
            "forks": {"type": "integer", "minimum": 1, "maximum": 100},
        },
    }

    def reads(self, with_: Mapping[str, Any]) -> tuple[str, ...]:
        folder = PurePosixPath(with_["playbook"]).parent.as_posix().removeprefix(".")
        return (with_["playbook"], folder, *([with_["inventory"]] if "inventory" in with_ else []))

    def run(self, context: Context) -> Result:
        import ansible_runner  # costs half a second, in this process only

        watch = Watch(context.say)
        private = Path(tempfile.mkdtemp(prefix=".runner-", dir=Path.cwd()))  # one of its own for each run
        ran = ansible_runner.run(
            private_data_dir=str(private),
            project_dir=str(Path.cwd()),
            envvars=environment(context, private),
            event_handler=watch,
            cancel_callback=context.cancelled.is_set,
            cmdline="" if context.phase == "apply" else "--check --diff",
            quiet=True,
            **_arguments(context.with_, private),
        )
        if context.cancelled.is_set():
            raise Cancelled
        if context.phase == "plan":
            watch.leave(context.artifacts)
        why = watch.why or _last_error(ran.stdout.read()) or f"Ansible ended with {ran.status}."
        if ran.rc != 0:
            return Result(succeeded=False, reason=why)
        if context.phase == "check" and watch.planned:
            left = f"{len(watch.planned)} tasks would still change something."
            return Result(succeeded=False, reason=left)
        return Result(succeeded=True, outputs=watch.counts())


def _arguments(given: Mapping[str, Any], private: Path) -> dict[str, Any]:
    (private / "env").mkdir()
    (private / "env/extravars").write_text(untrusted(given.get("extra_vars", {})))
    inventory = private / "localhost"
    if "inventory" in given:
        inventory = Path.cwd() / given["inventory"]
    else:
        inventory.write_text(HERE.format(python=sys.executable))
    return {
        "playbook": given["playbook"],
        "inventory": str(inventory),
        "forks": given.get("forks", 5),
        "limit": given.get("limit"),
        "tags": ",".join(given.get("tags", ())) or None,
        "skip_tags": ",".join(given.get("skip_tags", ())) or None,
    }


def environment(context: Context, private: Path) -> dict[str, str]:
    """What Ansible sees beside the step's own variables: its own folders, and secrets as files."""
    files = {variable: context.secret_file(name) for name, variable in SECRETS.items()}
    return {
        "ANSIBLE_HOME": str(private / "home"),
        "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
        "ANSIBLE_FORCE_COLOR": "1",
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_VERBOSITY": "0" if context.phase == "apply" else "1",  # tells why a task was skipped
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        **{variable: str(path) for variable, path in files.items() if path is not None},
    }


def untrusted(variables: Mapping[str, Any]) -> str:
    """Variables as YAML that is marked as a whole: each value keeps its type, and no template in it is evaluated.

    Not one mark for each text: Ansible would then take an unquoted look at it and read a typed "yes" as a boolean.
    """
    return "--- !unsafe\n" + yaml.safe_dump(dict(variables), width=1 << 20)


def _last_error(output: str) -> str:
    """What Ansible said before it had anything to do: a file that it cannot read, a word that it does not know."""
    said = list(_errors(re.sub(r"\x1b\[[0-9;]*m", "", output)))
    return said[-1][:500] if said else ""


def _errors(output: str) -> Iterator[str]:
    for line in output.splitlines():
        if found := re.match(r"\[?ERROR\]?!?:?\s*(.+)", line.strip()):
            yield found[1]
