"""Makes approved runs of one command in a running stack, in a process of its own: one JSON line in, one out.

In: the arguments of the command. Out: the key of the run, and the session of somebody who may see it.
"""

import json
import sys

import django


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.db import close_old_connections
    from django.test import Client

    from tests.browser import sign_in
    from tests.orchestration.world import World, step

    world = World()
    session = sign_in(Client(), world.requester).cookies[settings.SESSION_COOKIE_NAME].value
    for line in sys.stdin:
        close_old_connections()
        run = world.run(step("a", uses="command") | {"with": {"argv": json.loads(line)}})
        print(json.dumps({"run": run.key, "session": session}), flush=True)


if __name__ == "__main__":
    main()
