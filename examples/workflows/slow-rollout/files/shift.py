#!/usr/bin/env python3
"""Moves traffic in small parts, one line a part."""

import sys
import time

seconds = int(sys.argv[1])
for part in range(seconds * 2 + 1):
    print(f"{100 * part // (seconds * 2):3d} % of traffic on the new version", flush=True)
    time.sleep(0.5)
