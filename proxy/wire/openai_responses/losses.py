"""What a rendering could not carry, noted while it goes on."""

from __future__ import annotations

from proxy.hub.loss import Loss
from proxy.hub.residue import Residue
from proxy.wire.fields import residue_losses

NAME = "openai_responses"


class Losses(list[Loss]):
    """In the order in which they were met."""

    def note(self, path: str, what: str, why: str) -> None:
        self.append(Loss(path, what, why))

    def note_residue(self, residue: Residue | None, path: str) -> None:
        """The fields of another wire's residue, each by its name."""
        self.extend(residue_losses(residue, NAME, path))
