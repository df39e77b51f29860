"""`manage.py secret create|set|list|keys|rotate-key`: at the terminal of a worker or of nobody.

A value comes on stdin only."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from audit.ledger.entry import system
from audit.refusals import NotFound, Refusal
from orchestration.models import Secret
from orchestration.secrets import rotation, store

BY = system("system:terminal")


class Command(BaseCommand):
    help = "Name secrets, write their values from stdin, list them without; show and replace the key of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["create", "set", "list", "keys", "rotate-key"])
        parser.add_argument("path", nargs="?", default="", help="payments/db-password")
        parser.add_argument("--team", default="", help="slug of the team that owns it")
        for name in store.SCOPE:
            parser.add_argument(f"--{name}", nargs="+", default=[], help=f"slugs of {name} that may use it")
        parser.add_argument("--provider", choices=["store", "files", "vault"], default="store")
        parser.add_argument("--source", default="", help="what the provider calls it")
        parser.add_argument(
            "--prepare", action="store_true", help="make the next key only, for other hosts to hold first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act'].replace('-', '_')}")(options)
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

    def _keys(self, options: dict[str, Any]) -> None:
        *others, newest = rotation.listed()
        for name, held, count in (*others, newest):
            where = "held here" if held else "not held here"
            self.stdout.write(f"{name}  {where:14} {count} sealed for it")

    def _rotate_key(self, options: dict[str, Any]) -> None:
        if options["prepare"]:
            name = rotation.prepare(by=BY)
            self.stdout.write(
                f"The next key is {name}. Copy worker/secrets-{name}.key to each host that runs steps, then rotate."
            )
            return
        done = rotation.rotate(by=BY)
        self.stdout.write(f"{done.wrapped} values are sealed for {done.key} now; new ones are too.")
        if done.left:
            raise CommandError("\n".join(["Not done, so keep the older keys:", *done.left]), returncode=1)
        self.stdout.write("When `secret keys` shows 0 for an older key, its file can be destroyed.")
