"""``.venv/bin/python -m tests.golden.renew``: each golden file's output and losses as they are now."""

from __future__ import annotations

import sys

from tests.golden.cases import FOLDER, goldens


def renew() -> int:
    changed = 0
    for case in goldens():
        text = case.text
        if case.path.read_text() != text:
            case.path.write_text(text)
            changed += 1
            sys.stdout.write(f"{case.path.relative_to(FOLDER)}\n")
    return changed


if __name__ == "__main__":
    sys.stdout.write(f"{renew()} changed\n")
