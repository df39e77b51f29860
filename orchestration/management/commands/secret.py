"""`manage.py secret create|set|list`: at the terminal of a worker or of nobody. A value comes on stdin only."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from audit.ledger.entry import system
from audit.refusals import NotFound, Refusal
from orchestration.models import Secret
from orchestration.secrets import store

BY = system("system:terminal")


class Command(BaseCommand):
    help = "Name secrets and write their values, read from stdin; list them without their values."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["create", "set", "list"])
        parser.add_argument("path", nargs="?", default="", help="payments/db-password")
        parser.add_argument("--team", default="", help="slug of the team that owns it")
        for name in store.SCOPE:
            parser.add_argument(f"--{name}", nargs="+", default=[], help=f"slugs of {name} that may use it")
        parser.add_argument("--provider", choices=["store", "files", "vault"], default="store")
        parser.add_argument("--source", default="", help="what the provider calls it")

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {"create": self._create, "set": self._set, "list": self._list}
        try:
            acts[options["act"]](options)
        except Refusal as refusal:
            raise CommandError(str(refusal), returncode=1) from refusal

    def _create(self, options: dict[str, Any]) -> None:
        owner = Team.objects.filter(slug=options["team"]).first()
        if owner is None:
            raise NotFound("Name the team that owns it with --team; nothing was created.")
        scope = {name: options[name] for name in store.SCOPE}
        given = {name: options[name] for name in ("path", "provider", "source")}
        made = store.install(**given, owner=owner, scope=scope, by=BY)
        self.stdout.write(f"{made.path} is {made.get_provider_display()}, owned by {owner.slug}.")

    def _set(self, options: dict[str, Any]) -> None:
        secret = Secret.objects.filter(path=options["path"]).first()
        if secret is None:
            raise NotFound(f"There is no secret {options['path']!r}; nothing was stored. Create it first.")
        if sys.stdin.isatty():
            self.stderr.write("Type the value, then Ctrl-D; what you type is seen.")
        value = sys.stdin.read()
        made = store.put(secret, value.removesuffix("\n"), author=None, by=BY)
        self.stdout.write(f"{secret.path} has version {made.number}.")

    def _list(self, options: dict[str, Any]) -> None:
        for secret in Secret.objects.select_related("owner"):
            newest = secret.standing.first()
            named = f"version {newest.number}" if newest else "no value here"
            where = ", ".join(secret.environments)
            self.stdout.write(
                f"{secret.path:40} {secret.provider:6} {named:14} {secret.owner.slug:12} {where}"
            )
