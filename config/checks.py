"""What can only be checked once the settings stand: `manage.py check` and every command that runs it."""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from audit.ledger import witnesses
from orchestration.engine.failpoints import VARIABLE as FAILPOINT

KEY_MIN_CHARACTERS = 32


@checks.register
def secret_key(app_configs: Any, **_: Any) -> Sequence[checks.CheckMessage]:
    """Django itself notices a missing key only when the first session is signed."""
    hint = "`make run` makes one; else set COUNTERSIGN_SECRET_KEY, or COUNTERSIGN_SECRET_KEY_FILE to a file."
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's own answer to an empty one
        return [checks.Error("There is no secret key.", hint=hint, id="countersign.E001")]
    if len(key) < KEY_MIN_CHARACTERS:
        return [
            checks.Warning(
                "The secret key is short.", hint="Use 50 random characters.", id="countersign.W001"
            )
        ]
    return []


@checks.register
def witnesses_of_the_log(app_configs: Any, **_: Any) -> Sequence[checks.CheckMessage]:
    """A policy that cannot be is told at the start, not when the first checkpoint waits for nobody."""
    try:
        witnesses.policy()
    except witnesses.BadPolicy as error:
        hint = "See docs/how-to/let-witnesses-cosign.md, or take COUNTERSIGN_WITNESSES back."
        return [checks.Error(f"The witnesses of the log: {error}.", hint=hint, id="countersign.E003")]
    return []


@checks.register(checks.Tags.security, deploy=True)
def failpoints(app_configs: Any, **_: Any) -> Sequence[checks.CheckMessage]:
    """A process that obeys failpoints ends wherever a file says so; nothing but a test wants that."""
    if os.environ.get(FAILPOINT):
        hint = f"Unset {FAILPOINT}: it is for fault tests only."
        return [checks.Error("This process can be ended by files.", hint=hint, id="countersign.E002")]
    return []
