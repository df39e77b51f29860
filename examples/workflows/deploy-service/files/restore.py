#!/usr/bin/env python3
"""Serves again what was served before a version was rolled out; nothing, if there was nothing."""

import json
import os
import pathlib
import sys

environment, service, version = sys.argv[1:]
served = pathlib.Path(os.environ["DEMO_ROOT"], "envs", environment, service, "index.html")
before = served.with_name(f"before-{version}.html")
if before.exists():
    before.rename(served)
    print(f"{environment}/{service} serves what it did before {version}")
    page = {"page": f"/demo/site/{environment}/{service}/"}
    pathlib.Path(os.environ["STEP_OUTPUTS"]).write_text(json.dumps(page))
elif served.exists() and f"<b>{version}</b>" in served.read_text():
    served.unlink()
    print(f"{environment}/{service} served nothing before {version}, and serves nothing now")
else:
    print(f"{environment}/{service} does not serve {version} any more; nothing to do")
