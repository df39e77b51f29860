#!/usr/bin/env python3
"""Reads one thing about this machine and prints it."""

import os
import pathlib
import shutil
import sys
import time

what, depth = sys.argv[1:]
for _ in range(8 if depth == "thorough" else 2):
    if what == "disk":
        free = shutil.disk_usage("/").free
        print(f"free on disk: {free // 2**30} GiB", flush=True)
    elif what == "memory":
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        print(lines[2], flush=True)
    elif what == "clock":
        print(f"clock: {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}", flush=True)
    elif what == "load":
        print("load:", *os.getloadavg(), flush=True)
    else:
        print("every check has answered", flush=True)
        break
    time.sleep(0.5)
