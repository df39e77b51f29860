#!/usr/bin/env python3
"""Finds out what a change of the rules would do, and touches nothing: the new file, the difference, a summary."""

import difflib
import ipaddress
import json
import os
import pathlib
import sys
from typing import NoReturn

START = ["allow 443 from 0.0.0.0/0", "allow 22 from 10.0.0.0/8", "deny all"]

environment, service, change, port, source = sys.argv[1:]
path = pathlib.Path(os.environ["DEMO_ROOT"], "envs", environment, service, "firewall.rules")
left = pathlib.Path(os.environ["STEP_ARTIFACTS"])


def fail(reason: str) -> NoReturn:
    pathlib.Path(os.environ["STEP_REASON"]).write_text(reason)
    sys.exit(reason)


try:
    network = ipaddress.ip_network(source)
except ValueError as wrong:
    fail(f"{source} is no network: {wrong}.")
now = path.read_text().splitlines() if path.exists() else START
rule = f"allow {port} from {network}"
if change == "Open":
    then = now if rule in now else [*now[:-1], rule, now[-1]]
else:
    then = [line for line in now if line != rule]
if then == now:
    fail(f"There is nothing to do: {rule!r} {'is there already' if change == 'Open' else 'is not there'}.")

diff = "\n".join(difflib.unified_diff(now, then, "rules now", "rules then", lineterm=""))
everybody = network.prefixlen == 0
summary = {
    "what": rule,
    "action": "create" if change == "Open" else "delete",
    "risk": "high"
    if everybody or change == "Close"
    else "medium"
    if network.num_addresses > 65536
    else "low",
    "diff": diff,
}
(left / "rules.now").write_text("\n".join(now) + "\n")
(left / "rules.then").write_text("\n".join(then) + "\n")
(left / "rules.diff").write_text(diff + "\n")
(left / "summary.json").write_text(json.dumps({"v": 1, "changes": [summary]}))
print(diff)
