"""Put on the path of a Python process that the tests start: it notes what that holds and lets out."""

import os
import sys
from pathlib import Path

_folder = os.environ.get("PROXY_CANARIES", "")
if _folder and not any(each.endswith(("pytest", "st")) for each in sys.orig_argv[:3]):
    sys.path.append(str(Path(__file__).parents[2]))
    try:
        from tests.canaries.collector import note_streams
    except ImportError:  # a program of its own, without ours
        pass
    else:
        note_streams(Path(_folder))
