#!/usr/bin/env python3
"""Copies an artifact into an environment: into one folder first (canary), then where it is served (live)."""

import json
import os
import pathlib
import shutil
import sys
import time

phase, environment, service, version = sys.argv[1:]
root = pathlib.Path(os.environ["DEMO_ROOT"])
artifact = root / "artifacts" / service / version
names = ["canary"] if phase == "canary" else ["one", "two", "three"]
for number, name in enumerate(names, start=1):
    target = root / "envs" / environment / service / f"instance-{name}"
    shutil.copytree(artifact, target, dirs_exist_ok=True)
    print(f"{phase}: {number} of {len(names)}, {target.name} has {version}", flush=True)
    time.sleep(0.4)
if phase == "live":
    served = root / "envs" / environment / service / "index.html"
    before = served.with_name(f"before-{version}.html")  # what a rollback of this version serves again
    if served.exists() and not before.exists():
        shutil.copy(served, before)
    part = served.with_suffix(".part")
    shutil.copy(artifact / "index.html", part)
    part.rename(served)  # whoever reads sees the old page or the new one, never half of it
    print(f"{environment}/{service} now serves {version}")
    page = f"/demo/site/{environment}/{service}/"
    pathlib.Path(os.environ["STEP_OUTPUTS"]).write_text(json.dumps({"page": page, "version": version}))
