"""Values: dataclasses that nobody changes. The type checker sees to that, everywhere and for nothing.

At run time they are not frozen: a frozen one writes each of its fields through `object.__setattr__`, and one of six
fields takes 0.67 µs instead of 0.27. A translation makes some thirty.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - the checker is to know it as what it is
else:

    def dataclass(*, frozen: bool = False, **options: bool) -> object:
        return dataclasses.dataclass(unsafe_hash=frozen, **options)
