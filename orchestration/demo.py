"""The demo bank: seeded through the product's own writers, so that each of its rows has its entry."""

import secrets
from datetime import datetime, time, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from django.conf import settings
from django.db import transaction

from accounts import engagements, permissions, teams
from accounts.acting import Acting
from accounts.models import Team, User
from approvals import freezes
from approvals.calendar.schedule import Schedule
from approvals.clock import database_time
from approvals.plans import Known, Plan
from approvals.policy import bundles
from audit.ledger.entry import system
from orchestration import asking, catalogue, changes
from orchestration.definitions.workflow import Definition, load
from orchestration.governed import install as governed
from orchestration.models import CONTROL_ROOM, Change, Environment, Service, Workflow
from orchestration.secrets import store

EXAMPLES = settings.BASE_DIR / "examples"
SEEDER = system("system:demo")
FRIDAY = 4
Bank = dict[str, Any]


def read() -> Bank:
    """What the bank consists of."""
    bank: Bank = yaml.safe_load((EXAMPLES / "demo" / "bank.yaml").read_text())
    return bank


def root() -> Path:
    """Where the demo's workflows write, and what its pages are served from."""
    place: Path = settings.DATA_DIR.resolve() / "demo"
    return place


def seed() -> bool:
    """Everything, once; False when the bank stands already. A seed that was killed is finished by the next."""
    bank = read()
    if Change.objects.exists():
        return False
    root().mkdir(parents=True, exist_ok=True)
    bundles.first_start(EXAMPLES / "policies" / "starter", by=SEEDER)
    if not Team.objects.filter(slug=next(iter(bank["teams"]))).exists():
        _stand(bank)
    for request in bank["requests"]:
        _request(request)
    return True


@transaction.atomic
def _stand(bank: Bank) -> None:
    people = _people(bank)
    _places(bank)
    for folder in sorted((EXAMPLES / "workflows").iterdir()):
        catalogue.install(definition(folder), origin=f"examples/workflows/{folder.name}", by=SEEDER)
    governed.install(Team.objects.get(slug=bank["governance"]), by=SEEDER)
    _grants(bank)
    _secrets(bank)
    _freeze(bank, people)
    _weekend(bank, people)


def definition(folder: Path) -> Definition:
    """A workflow of a folder: `workflow.yaml` and the scripts in `files/`."""
    text = (folder / "workflow.yaml").read_text().replace("@DEMO_ROOT@", str(root()))
    files = {path.name: path.read_text() for path in sorted((folder / "files").glob("*")) if path.is_file()}
    return load(text, files)


def _people(bank: Bank) -> dict[str, User]:
    people = {}
    for username, one in bank["people"].items():
        admin = username in bank["teams"]["platform"]["members"][:1]
        people[username] = teams.create_person(username=username, by=SEEDER, superuser=admin, **one)
    for username, one in bank["service_accounts"].items():
        person = people[one["person"]].person
        people[username] = teams.create_service_account(
            username=username, name=one["name"], person=person, ceiling=one["scopes"], by=SEEDER
        )
    for slug, one in bank["teams"].items():
        team = teams.create_team(slug=slug, name=one["name"], by=SEEDER)
        for number, username in enumerate(one["members"]):
            teams.join(team, people[username], by=SEEDER, lead=number == 0)
    for username, days in bank["engaged"].items():
        engagements.engage(people[username], database_time() + timedelta(days=days), by=SEEDER)
    return people


def _places(bank: Bank) -> None:
    for position, (slug, one) in enumerate(bank["environments"].items(), start=1):
        catalogue.create_environment(slug=slug, position=position, by=SEEDER, **one)
    for slug, one in bank["services"].items():
        owner = Team.objects.get(slug=one["owner"])
        catalogue.create_service(slug=slug, name=one["name"], tier=one["tier"], owner=owner, by=SEEDER)


def _grants(bank: Bank) -> None:
    """Readers see; everybody else may request and sign off; a service is operated by its owner and Platform."""
    for team in Team.objects.select_related("group"):
        if team.slug in bank["auditors"]:
            permissions.open_log(team, by=SEEDER)
        verbs = ["view"] if team.slug in bank["readers"] else ["view", "request", "sign_off"]
        for one in [*Workflow.objects.all(), *Environment.objects.all(), *Service.objects.all()]:
            for verb in [*verbs, *(["operate"] if _operates(team, one) else [])]:
                permissions.grant(team, verb, one, by=SEEDER)
    for slug, one in product(bank["break_glass"], Environment.objects.exclude(slug=CONTROL_ROOM)):
        permissions.grant(Team.objects.get(slug=slug), "break_glass", one, by=SEEDER)


def _secrets(bank: Bank) -> None:
    """Sealed by this process, which is no web server: it makes the workers' key where none has yet."""
    services = list(bank["services"])
    for path, one in bank["secrets"].items():
        owner = Team.objects.get(slug=one["owner"])
        scope = {"environments": one["environments"], "services": services, "workflows": one["workflows"]}
        made = store.install(path=path, owner=owner, scope=scope, by=SEEDER)
        store.put(made, secrets.token_urlsafe(24), author=None, by=SEEDER)


def _operates(team: Team, one: Any) -> bool:
    return team.slug == "platform" or (isinstance(one, Service) and one.owner_id == team.pk)


def _freeze(bank: Bank, people: dict[str, User]) -> None:
    given = bank["freeze"]
    begins = _working_day(database_time(), given["starts_in_working_days"]).replace(
        hour=16, minute=0, second=0
    )
    freezes.create(
        name=given["name"],
        reason=given["reason"],
        environments=given["environments"],
        starts_at=begins,
        ends_at=begins + timedelta(days=given["lasts_days"]),
        known=bank["environments"],
        by=Acting(people["sam"], "session"),
    )


def _weekend(bank: Bank, people: dict[str, User]) -> None:
    """A freeze that comes back, where no demo lands: it can be played on every day of the week."""
    given = bank["weekend"]
    today = database_time().astimezone(ZoneInfo(given["zone"])).date()
    friday = today + timedelta(days=(FRIDAY - today.weekday()) % 7)
    start = datetime.combine(friday, time.fromisoformat(given["starts"]))
    schedule = Schedule(
        given["zone"], start, start + timedelta(hours=given["hours"]), f"FREQ=WEEKLY;COUNT={given['weeks']}"
    )
    where = tuple(given["environments"])
    plan = Plan(name=given["name"], reason=given["reason"], schedule=schedule, environments=where)
    freezes.plan(plan, known=Known(bank["environments"]), by=Acting(people["sam"], "session"))


def _working_day(at: datetime, count: int) -> datetime:
    while count:
        at += timedelta(days=1)
        count -= at.weekday() <= FRIDAY
    return at


def _request(given: dict[str, Any]) -> None:
    by = Acting(User.objects.get(username=given["by"]), "session")
    asked = asking.ask(**{key: value for key, value in given.items() if key != "by"}, by=by)
    changes.request_change(asked)
