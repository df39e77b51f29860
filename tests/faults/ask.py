"""Makes approved runs in a running stack, in a process of its own: one JSON line in, one out.

In: how many runs, and their steps. Out: the ids of the runs, and how long the slowest took to be asked for.
"""

import json
import sys
import time

import django


def main() -> None:
    django.setup()
    from django.db import close_old_connections

    from tests.orchestration.world import World, step

    world = World()
    for line in sys.stdin:
        close_old_connections()
        asked, ids, slowest = json.loads(line), [], 0.0
        for _ in range(asked["count"]):
            began = time.monotonic()
            ids.append(str(world.run(*[step(**one) for one in asked["steps"]]).pk))
            slowest = max(slowest, time.monotonic() - began)
        print(json.dumps({"runs": ids, "slowest": slowest}), flush=True)


if __name__ == "__main__":
    main()
