#!/usr/bin/env python3
"""Puts exactly the rules in place that were signed, if those that they were made from still stand."""

import os
import pathlib
import sys

environment, service = sys.argv[1:]
path = pathlib.Path(os.environ["DEMO_ROOT"], "envs", environment, service, "firewall.rules")
signed = pathlib.Path(os.environ["STEP_PLANS"], "look")
before, then = (signed / "rules.now").read_text(), (signed / "rules.then").read_text()
now = path.read_text() if path.exists() else before

if now not in {before, then}:  # `then`: it was written before, and is only tried again
    reason = "The rules are not those that the plan was made from. Nothing was written; plan it again."
    pathlib.Path(os.environ["STEP_REASON"]).write_text(reason)
    sys.exit(reason)
path.parent.mkdir(parents=True, exist_ok=True)
part = path.with_suffix(".part")
part.write_text(then)
part.rename(path)
print(then, end="")
