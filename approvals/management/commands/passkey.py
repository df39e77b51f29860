"""`manage.py passkey list|trust USERNAME`: where trust in passkeys begins: at a terminal with the workers' keys."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from approvals import enrolment, keys
from approvals.models import Passkey
from audit.ledger.entry import system
from audit.refusals import Refusal


class Command(BaseCommand):
    help = "List the passkeys of a person; or vouch for the one that they ask for, as the root of trust."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["list", "trust"])
        parser.add_argument("username")
        parser.add_argument("--key", help="its id, where the person asks for more than one")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no account {options['username']}.", returncode=1)
        found = list(Passkey.objects.filter(user=user).order_by("created_at"))
        if options["act"] == "list":
            self.stdout.write("\n".join(map(_line, found)) or f"{user.name} has no passkey.")
            return
        try:
            trusted = enrolment.trust_at_terminal(
                _asked(found, options["key"], user), by=system("system:terminal")
            )
        except (Refusal, keys.KeyNotHeld) as refusal:
            raise CommandError(str(refusal), returncode=1) from refusal
        self.stdout.write(f"{user.name} can sign with {trusted.name} now ({trusted.rp_id}).")


def _asked(found: list[Passkey], key: str | None, user: User) -> Passkey:
    asked = [one for one in found if one.state == Passkey.State.ASKED and key in {None, str(one.pk)}]
    if len(asked) != 1:
        lines = "\n".join(map(_line, asked)) or "none"
        raise CommandError(
            f"Nothing was trusted: {user.name} asks for {len(asked)} such passkeys. Ask the person which, and name it"
            f" with --key:\n{lines}",
            returncode=1,
        )
    return asked[0]


def _line(one: Passkey) -> str:
    return f"{one.pk} {one.state:8} {one.created_at:%Y-%m-%d %H:%M} {one.rp_id} {one.name}"
