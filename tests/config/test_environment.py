"""Settings come from one table; what is wrong is said all at once, before anything starts."""

import os
import subprocess
import sys

import pytest
from django.core.checks import run_checks

from config.environment import ROOT, Environment, Misconfigured, read

WRONG = {
    "COUNTERSIGN_PORT": "80000",
    "COUNTERSIGN_HTTPS": "perhaps",
    "COUNTERSIGN_LEASE_TTL_SECONDS": "nan",
    "COUNTERSIGN_HEARTBEAT_SECONDS": "20",
    "COUNTERSIGN_LOG_LEVEL": "loud",
    "COUNTERSIGN_DATABASE_URL": "mysql://me:hunter2@there/it",
    "BROKER_URL": "memory://",
    "COUNTERSIGN_SECRET_KEY": "one",
    "COUNTERSIGN_SECRET_KEY_FILE": "/and/two",
    "COUNTERSIGN_CHANNEL_URL_FILE": "/not/there",
    "COUNTERSIGN_ALOWED_HOSTS": "x",
}


def test_nothing_need_be_set():
    assert read({}) == Environment()
    assert read({"PATH": "/bin", "COUNTERSIGN_PORT": ""}) == Environment()


def test_every_problem_is_told_at_once_and_no_secret_with_it():
    with pytest.raises(Misconfigured) as told:
        read(WRONG)
    said = str(told.value)
    assert len(told.value.problems) == len(WRONG) - 1  # the key and its file are one problem
    for name in WRONG:
        assert name.removesuffix("_FILE") in said.replace("COUNTERSIGN_BROKER", "BROKER")
    assert "COUNTERSIGN_ALLOWED_HOSTS is" in said
    assert "hunter2" not in said


def test_a_timestamp_authority_needs_the_certificates_that_it_is_checked_against():
    asked = {"COUNTERSIGN_TSA_URL": "https://name:hunter2@tsa.example/"}
    with pytest.raises(Misconfigured, match="needs COUNTERSIGN_TSA_CA_PATH") as told:
        read(asked)
    assert "hunter2" not in str(told.value)
    assert read({**asked, "COUNTERSIGN_TSA_CA_PATH": "/etc/tsa.pem"}).tsa_url == asked["COUNTERSIGN_TSA_URL"]


@pytest.mark.parametrize("start", [["manage.py", "up"], ["manage.py", "migrate"], ["-m", "config.embedded"]])
def test_nothing_starts_with_wrong_settings(start, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    env = {**kept, **WRONG, "COUNTERSIGN_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, *start], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n  - ") == len(WRONG) - 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL", "CHANNEL_URL"])
def test_the_addresses_of_servers_are_known_with_and_without_the_prefix(name, tmp_path):
    url = "postgres://a/b" if name == "DATABASE_URL" else "redis://a/1"
    file = tmp_path / "url"
    file.write_text(url + "\n")
    for given in ({name: url}, {f"COUNTERSIGN_{name}": url}, {f"COUNTERSIGN_{name}_FILE": str(file)}):
        assert getattr(read(given), name.lower()) == url
    assert getattr(read({name: "redis://other", f"COUNTERSIGN_{name}": url}), name.lower()) == url


def test_values_have_their_types():
    found = read(
        {
            "COUNTERSIGN_ALLOWED_HOSTS": "a.example, b.example,",
            "COUNTERSIGN_DEMO": "yes",
            "COUNTERSIGN_PORT": "9000",
            "COUNTERSIGN_GRACE_SECONDS": "1.5",
        }
    )
    assert (found.allowed_hosts, found.demo, found.port) == (("a.example", "b.example"), True, 9000)
    assert found.grace_seconds == 1.5


@pytest.mark.parametrize(("key", "said"), [("", "countersign.E001"), ("short", "countersign.W001")])
def test_a_missing_or_short_key_is_found_by_check(key, said, settings):
    settings.SECRET_KEY = key
    assert said in {message.id for message in run_checks()}


def test_a_deployment_that_obeys_failpoints_is_found_by_check(monkeypatch, tmp_path):
    found = {message.id for message in run_checks(include_deployment_checks=True)}
    assert "countersign.E002" not in found
    monkeypatch.setenv("COUNTERSIGN_FAILPOINT", str(tmp_path))
    assert "countersign.E002" in {message.id for message in run_checks(include_deployment_checks=True)}
