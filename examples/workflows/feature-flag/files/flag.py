#!/usr/bin/env python3
"""Writes one flag of one service in one environment."""

import json
import os
import pathlib
import sys

environment, service, flag, wanted = sys.argv[1:]
place = pathlib.Path(os.environ["DEMO_ROOT"], "envs", environment, service)
place.mkdir(parents=True, exist_ok=True)
path = place / "flags.json"
flags = json.loads(path.read_text()) if path.exists() else {}
before = flags.get(flag)
flags[flag] = wanted == "is true"
part = path.with_suffix(".part")
part.write_text(json.dumps(flags, indent=2, sort_keys=True))
part.rename(path)
print(f"{flag}: {before} -> {flags[flag]}")
