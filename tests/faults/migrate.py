"""Brings a running stack the one migration of a later release, or takes it back: `migrate.py [zero]`."""

import os
import sys

import django


def main(*to: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.faults.later"]
    django.setup()
    from django.core.management import call_command

    call_command("migrate", "later", *to)


if __name__ == "__main__":
    main(*sys.argv[1:])
