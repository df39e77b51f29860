#!/usr/bin/env python3
"""Reads the page that is served and looks for the version."""

import os
import pathlib
import sys

environment, service, version = sys.argv[1:]
page = pathlib.Path(os.environ["DEMO_ROOT"], "envs", environment, service, "index.html").read_text()
if f"<b>{version}</b>" not in page:
    sys.exit(f"{environment}/{service} does not serve {version}")
print(f"{environment}/{service} serves {version}")
