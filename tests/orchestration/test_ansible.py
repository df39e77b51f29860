"""The `ansible` action with the real Ansible, on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.actions import registry
from tests.orchestration.tooling import HOSTILE, Tool

PLAY = """
- name: Set up
  hosts: all
  gather_facts: false
  tasks:
    - name: Write the page
      ansible.builtin.copy: {dest: "{{ place }}/page.txt", content: "{{ text }}\\n", mode: "0600"}
    - name: Take the old one away
      ansible.builtin.file: {path: "{{ place }}/old.txt", state: absent}
    - name: Restart it
      ansible.builtin.command: {argv: [touch, "{{ place }}/restarted"]}
    - name: Look whether it stands
      ansible.builtin.fail: {msg: "The page is not there: {{ text }}"}
      when: broken | default(false)
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "old.txt").write_text("old\n")
    return tmp_path


def ansible(place, *, phase="apply", files=None, play=PLAY, **changed):
    given = {"place": str(place), "text": "Hello", **changed.pop("extra_vars", {})}
    with_ = {"playbook": "site.yml", "extra_vars": given, **changed}
    assert registry.validate("ansible", with_) == []
    return Tool("ansible", with_, place, files={"site.yml": play, **(files or {})}, phase=phase)


def test_a_playbook_runs_and_its_counts_are_outputs(place):
    step = ansible(place)
    outcome = step.run()
    assert (outcome.state, outcome.reason) == ("succeeded", "")
    assert outcome.outputs == {"ok": 3, "changed": 3, "failed": 0, "unreachable": 0, "skipped": 1}
    assert (place / "page.txt").read_text() == "Hello\n"
    assert not (place / "old.txt").exists()
    assert "TASK [Write the page]" in step.text
    assert "\x1b[0;33mchanged: [localhost]" in step.text  # as a terminal shows it
    assert step.left() == []


def test_a_plan_changes_nothing_and_tells_everything_the_riskiest_first(place):
    step = ansible(place, phase="plan")
    assert step.run().state == "succeeded"
    assert {one.name for one in place.iterdir()} == {"old.txt", "artifacts", "plans"}
    away, restart, page = step.changes
    assert (away["what"], away["action"]) == ("Take the old one away on localhost", "delete")
    assert (away["risk"], away["irreversible"]) == ("high", True)
    assert (restart["what"], restart["action"], restart["risk"]) == ("Restart it on localhost", "run", "high")
    assert restart["after"] == f"touch {place}/restarted"
    assert (page["what"], page["action"], page["risk"]) == ("Write the page on localhost", "create", "low")
    assert page["diff"].splitlines()[-1] == "+Hello"
    check = step.artifact("check.json")
    assert [one["outcome"] for one in check["tasks"]] == ["changed", "changed", "not checked"]
    assert check["counts"]["changed"] == 2


def test_the_message_of_the_failed_task_is_the_reason(place):
    outcome = ansible(place, extra_vars={"broken": True}).run()
    assert outcome.state == "failed"
    assert outcome.reason == "Look whether it stands on localhost: The page is not there: Hello"


LATER = """
- hosts: all
  gather_facts: false
  tasks:
    - block: [{name: Try, ansible.builtin.fail: {msg: rescued}}]
      rescue: [{name: Go on, ansible.builtin.debug: {msg: on}}]
    - {name: Shrug, ansible.builtin.fail: {msg: ignored}, ignore_errors: true}
    - {name: Each, ansible.builtin.fail: {msg: "no {{ item }}"}, loop: [one]}
"""


def test_a_failure_that_was_rescued_or_ignored_is_not_the_reason(place):
    assert ansible(place, play=LATER).run().reason == "Each on localhost: no one"


def test_a_playbook_that_is_none_says_why(place):
    outcome = ansible(place, play="- hosts: all\n  nonsense: 1\n").run()
    assert outcome.state == "failed"
    assert "nonsense" in outcome.reason


ROLE = """
- template: {src: page.j2, dest: "{{ place }}/{{ inventory_hostname }}"}
"""
HOSTS = """
web:
  hosts: {one: {ansible_connection: local}, two: {ansible_connection: local}}
  vars: {greeting: Hello}
"""


def test_roles_templates_and_an_inventory_come_from_the_files_beside_it(place):
    files = {
        "play/site.yml": "- {hosts: web, gather_facts: false, roles: [page]}",
        "play/roles/page/tasks/main.yml": ROLE,
        "play/roles/page/templates/page.j2": "{{ greeting }} from {{ inventory_hostname }}\n",
        "hosts.yml": HOSTS,
    }
    given = {"playbook": "play/site.yml", "inventory": "hosts.yml", "limit": "one"}
    step = Tool("ansible", {**given, "extra_vars": {"place": str(place)}}, place, files=files)
    outcome = step.run()
    assert (outcome.state, outcome.reason) == ("succeeded", "")
    assert (place / "one").read_text() == "Hello from one\n"
    assert not (place / "two").exists()


SHOW = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy: {dest: "{{ place }}/seen.json", content: "{{ typed | to_json }}"}
    - ansible.builtin.command: {argv: [printenv]}
      register: found
    - ansible.builtin.copy: {dest: "{{ place }}/env.txt", content: "{{ found.stdout }}"}
"""


def test_what_a_person_typed_is_a_value_and_never_a_template(place, monkeypatch):
    """All payloads at once: each is a variable of its own, and each arrives as it was typed."""
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "no")
    typed = {f"v{number}": text for number, text in enumerate(HOSTILE)} | {"whole": 7, "true": True}
    assert len(typed) >= 50
    listed = "{{ {" + ", ".join(f"'{name}': {name}" for name in typed) + "} }}"
    play = SHOW.replace("{{ typed | to_json }}", listed.replace("} }}", "} | to_json }}"))
    step = ansible(place, play=play, extra_vars=typed)
    assert step.run().reason == ""
    assert json.loads((place / "seen.json").read_text("utf-8")) == typed
    assert "SECRET_OF_THE_WORKER" not in (place / "env.txt").read_text()


@pytest.mark.parametrize("field", ["playbook", "inventory", "limit"])
@pytest.mark.parametrize("typed", ["-x", "--help", "a\n", "../a", "/etc/a", "@a", "a b", "$(id)", "; id", ""])
def test_names_that_could_lead_elsewhere_are_refused(field, typed):
    assert registry.validate("ansible", {"playbook": "a.yml", field: typed})


@pytest.mark.parametrize(
    "name", ["ansible_connection", "ansible_python_interpreter", "ansible_ssh_common_args", "environment", "hostvars",
             "PATH", "a-b", "__a", "a\n", "playbook_dir"],
)  # fmt: skip
def test_variables_that_steer_ansible_itself_are_refused(name):
    assert registry.validate("ansible", {"playbook": "a.yml", "extra_vars": {name: "x"}})


def test_a_secret_reaches_ansible_as_a_file_and_is_in_no_argument(place):
    play = '- {hosts: all, gather_facts: false, tasks: [copy: {dest: "{{ place }}/key", content: "{{ hidden }}"}]}\n'
    step = Tool("ansible", {"playbook": "site.yml", "extra_vars": {"place": str(place)}}, place,
                files={"site.yml": play, "group_vars/all.yml": encrypted(place, "hidden: found\n", "open sesame")},
                secrets={"VAULT_PASSWORD": "open sesame"})  # fmt: skip
    assert step.run().state == "succeeded"
    assert (place / "key").read_text() == "found"
    assert "open sesame" not in step.text


def test_it_is_told_to_stop_and_leaves_nothing(place):
    play = "- {hosts: all, gather_facts: false, tasks: [{name: Wait, command: {argv: [sleep, '99']}}]}\n"
    step = ansible(place, play=play)

    def stop(chunk):
        if b"TASK [Wait]" in chunk.data:
            step.control.cancel("enough")

    step.take = stop
    assert step.run().state == "cancelled"
    assert step.left() == []


def encrypted(place, text, password):
    """What `ansible-vault encrypt` makes of it."""
    word = place / "word"
    word.write_text(password)
    vault = Path(sys.executable).with_name("ansible-vault")
    made = subprocess.run(
        [vault, "encrypt", "--vault-password-file", word, "--output", "-"],
        input=text, capture_output=True, text=True, check=True, env={"HOME": str(place), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    word.unlink()
    return made.stdout
