"""`manage.py people`: accounts, teams and grants from a terminal, where the first admin has to come from.

Each act is one call of a writer and leaves its entry, by `system:terminal`. A password is asked for or read from the
standard input, never taken from the command line, which every process of the machine can read.
"""

import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models

from accounts import engagements, permissions, teams, tokens
from accounts.models import Team, User
from audit.ledger.entry import system
from audit.refusals import NotFound, Refusal

TERMINAL = system("system:terminal")
KINDS = ("workflow", "service", "environment")


class Command(BaseCommand):
    help = "Add people, service accounts and teams; put people into teams; grant and revoke."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        add = _act(acts, "add", "a person with an account; asks for a password", "username", "name")
        add.add_argument("--title", default="")
        add.add_argument("--email", default="")
        add.add_argument("--admin", action="store_true", help="sees everything; may still sign nothing off")
        add.add_argument("--no-password", action="store_true", help="nobody can sign in to it")
        service = _act(acts, "service", "an account for a machine", "username", "name")
        service.add_argument("--person", required=True, help="username of the person who answers for it")
        service.add_argument(
            "--scopes",
            nargs="+",
            choices=tokens.SCOPES,
            default=tokens.READING,
            help="what its tokens may have at most; without it: reading. Later only a governed act widens it",
        )
        _act(acts, "team", "an empty team", "slug", "name")
        join = _act(acts, "join", "put an account into a team", "team", "username")
        join.add_argument("--lead", action="store_true")
        _act(acts, "leave", "end a membership", "team", "username")
        _act(acts, "rename", "call an account something else from now on", "username", "name")
        engage = _act(
            acts, "engage", "an account that only reads, until a day; what it opens is recorded", "username"
        )
        engage.add_argument("until", help="the first day on which it opens nothing any more: 2026-12-31")
        _act(acts, "deactivate", "switch an account off for good", "username")
        for act, says in (("grant", "let a team do this"), ("revoke", "take it back")):
            one = _act(acts, act, says, "team")
            one.add_argument("verb", choices=permissions.VERBS)
            one.add_argument(
                "on", nargs="+", metavar="KIND:SLUG", help="workflow:deploy-service, service:*, log"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            said = getattr(self, f"_{options['act']}")(options)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(said)

    def _add(self, given: dict[str, Any]) -> str:
        password = None if given["no_password"] else _password()
        told = {name: given[name] for name in ("username", "name", "title", "email")}
        user = teams.create_person(**told, password=password, superuser=given["admin"], by=TERMINAL)
        return f"{user.name} is {user.username}{', an admin' if user.is_superuser else ''}."

    def _service(self, given: dict[str, Any]) -> str:
        answers = _account(given["person"])
        teams.create_service_account(
            username=given["username"],
            name=given["name"],
            person=answers.person,
            ceiling=given["scopes"],
            by=TERMINAL,
        )
        return f"{answers.name} answers for {given['username']}."

    def _team(self, given: dict[str, Any]) -> str:
        return f"The team {teams.create_team(slug=given['slug'], name=given['name'], by=TERMINAL).slug} is empty."

    def _join(self, given: dict[str, Any]) -> str:
        team, user = _team(given["team"]), _account(given["username"])
        teams.join(team, user, by=TERMINAL, lead=given["lead"])
        return f"{user.name} is in {team.name}."

    def _leave(self, given: dict[str, Any]) -> str:
        team, user = _team(given["team"]), _account(given["username"])
        teams.leave(team, user, by=TERMINAL)
        return f"{user.name} has left {team.name}."

    def _rename(self, given: dict[str, Any]) -> str:
        user = _account(given["username"])
        was = user.name
        teams.rename(user, name=given["name"], by=TERMINAL)
        return f"{was} is called {user.name} from now on."

    def _engage(self, given: dict[str, Any]) -> str:
        try:
            until = datetime.fromisoformat(given["until"]).replace(tzinfo=UTC)
        except ValueError as error:
            raise CommandError("Nothing was changed: the end is a day such as 2026-12-31.") from error
        found = engagements.engage(_account(given["username"]), until, by=TERMINAL)
        return f"{found.user.name} reads until {found.ends_at:%Y-%m-%d %H:%M} UTC."

    def _deactivate(self, given: dict[str, Any]) -> str:
        user = _account(given["username"])
        teams.deactivate(user, by=TERMINAL)
        return f"{user.name} is inactive."

    def _grant(self, given: dict[str, Any]) -> str:
        return _change(given, "may now", permissions.grant, permissions.open_log)

    def _revoke(self, given: dict[str, Any]) -> str:
        return _change(given, "may no longer", permissions.revoke, permissions.close_log)


def _act(acts: Any, name: str, says: str, *arguments: str) -> CommandParser:
    parser: CommandParser = acts.add_parser(name, help=says)
    for argument in arguments:
        parser.add_argument(argument)
    return parser


def _change(given: dict[str, Any], words: str, rows: Callable[..., None], log: Callable[..., None]) -> str:
    """Every record that was named, in turn; the log is the one thing that is no record."""
    team, verb = _team(given["team"]), given["verb"]
    for name in given["on"]:
        if name == "log" and verb == "view":
            log(team, by=TERMINAL)
        else:
            for row in _rows(name):
                rows(team, verb, row, by=TERMINAL)
    return f"{team.name} {words} {permissions.DOES[verb]} {', '.join(given['on'])}."


def _rows(name: str) -> list[models.Model]:
    """`service:payments-api`, or `service:*` for all that there are now."""
    kind, _, slug = name.partition(":")
    if kind not in KINDS or not slug:
        raise NotFound(f"{name} is not named like workflow:deploy-service; nothing was changed.")
    found = apps.get_model("orchestration", kind)._default_manager.all()
    rows = list(found if slug == "*" else found.filter(slug=slug))
    if not rows:
        raise NotFound(f"There is no {kind} {slug}; nothing was changed.")
    return rows


def _team(slug: str) -> Team:
    found = Team.objects.select_related("group").filter(slug=slug).first()
    if found is None:
        raise NotFound(f"There is no team {slug}; nothing was changed.")
    return found


def _account(username: str) -> User:
    found = User.objects.select_related("person").filter(username=username).first()
    if found is None:
        raise NotFound(f"There is no account {username}; nothing was changed.")
    return found


def _password() -> str:
    """Asked for twice, or one line of the standard input."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != password:
            raise CommandError("The two passwords differ; nothing was done.")
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(f"Nothing was done. {' '.join(error.messages)}") from error
    return password
