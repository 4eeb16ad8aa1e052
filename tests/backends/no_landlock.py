"""``python no_landlock.py python -m proxy …``: the server on a kernel that has no Landlock."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from auth.cli import confine

confine.version = lambda: 0
sys.argv = [sys.argv[0], *sys.argv[4:]]
runpy.run_module("proxy", run_name="__main__", alter_sys=True)
