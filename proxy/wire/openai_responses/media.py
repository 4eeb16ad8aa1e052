"""Images and files of other wires on their way to this one. What cannot go leaves a line that tells the model so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.hub.parts import Media, MediaKind, Text
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonValue
from proxy.wire.openai_responses.losses import Losses
from proxy.wire.openai_responses.parts import INPUT, render_content

_HERE: frozenset[MediaKind] = frozenset({"image", "document"})
_FILE_NAMES: Mapping[str, str] = {"application/pdf": "document.pdf", "text/plain": "document.txt"}
"""A file that comes as data needs a name."""


class MediaWriter:
    def __init__(self, profile: Profile, losses: Losses) -> None:
        self._profile = profile
        self._losses = losses
        self._held: list[Media] = []

    def written(self, media: Media, path: str) -> Media | Text:
        if media.plain_text is not None:  # as a file it is refused: the API takes PDFs
            text = f"{media.name}:\n\n{media.plain_text}" if media.name else media.plain_text
            return Text(text=text, cache=media.cache)
        why = self._refused(media)
        if why is not None:
            self._losses.note(path, media.kind, why)
            return Text(text=f"[{media.kind} left out: {why}]", cache=media.cache)
        if media.kind == "image":
            return replace(media, detail=media.detail or "auto", name=None, residue=None)
        name = media.name
        if name is None and media.data is not None:
            name = _FILE_NAMES.get(media.media_type or "", "document")
        return replace(media, name=name, residue=None)

    def _refused(self, media: Media) -> str | None:
        if media.kind not in _HERE or media.kind not in self._profile.media:
            return f"the model reads no {media.kind}"
        if media.url is not None and not self._profile.takes_media_url:
            return "the model fetches no addresses"
        if media.file_id is not None and media.origin != self._profile.maker:
            return f"the file lies with {media.origin}"
        return None

    def in_result(self, media: Media, path: str) -> Media | Text:
        """Where results hold text only, the image follows in a user's turn (`held_back`), named after its result."""
        written = self.written(media, path)
        if self._profile.has_media_in_results or isinstance(written, Text):
            return written
        self._held.append(replace(written, cache=None))
        self._losses.note(path, f"{media.kind} in a result", "it follows in a user's turn")
        return Text(text=f"[{media.kind} {len(self._held)} follows the results]", cache=media.cache)

    def held_back(self) -> list[JsonValue]:
        """The user's turn after the results, if one is needed."""
        held, self._held = self._held, []
        if not held:
            return []
        content: list[JsonValue] = []
        for at, media in enumerate(held, 1):
            content.append({"type": INPUT, "text": f"[{media.kind} {at} of the results above]"})
            content.append(render_content(media, INPUT))
        return [{"type": "message", "role": "user", "content": content}]
