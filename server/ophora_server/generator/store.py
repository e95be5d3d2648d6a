"""The folder of finished videos: <id>.mp4 and <id>.json, complete or absent.

A worker writes into a draft of its own; publishing renames both files, the MP4 last, so a file
under its final name is always whole.
"""

import re
from pathlib import Path

from ophora_model.draft import sync

_VIDEO_ID = re.compile(r"video_[0-9a-f]{32}")


class VideoStore:
    """Finished videos by id. An id that isn't one of ours never becomes a path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def video(self, video_id: str) -> Path:
        """Path of the MP4, whether it exists or not."""
        return self._folder / f"{_checked(video_id)}.mp4"

    def provenance(self, video_id: str) -> Path:
        """Path of the provenance JSON, whether it exists or not."""
        return self._folder / f"{_checked(video_id)}.json"

    def draft(self, video_id: str, owner: str) -> Path:
        """Path for an owner's unfinished MP4; its provenance goes beside it, as .json."""
        return self._folder / f".draft-{_checked(video_id)}-{owner}.mp4"

    def publish(self, video_id: str, draft: Path) -> None:
        """Give a draft and its provenance their final names, durably."""
        sync(draft)
        sync(draft.with_suffix(".json"))
        draft.with_suffix(".json").replace(self.provenance(video_id))
        draft.replace(self.video(video_id))
        sync(self._folder)

    def drop(self, draft: Path) -> None:
        """Remove what there is of a draft."""
        draft.unlink(missing_ok=True)
        draft.with_suffix(".json").unlink(missing_ok=True)

    def delete(self, video_id: str) -> None:
        """Remove a video and its provenance, if they are there."""
        self.video(video_id).unlink(missing_ok=True)
        self.provenance(video_id).unlink(missing_ok=True)

    def sweep(self, known: set[str]) -> None:
        """Remove drafts and files of unknown ids. Only while no worker runs."""
        for path in self._folder.iterdir():
            if path.name.startswith(".") or (
                path.suffix in {".mp4", ".json"} and path.stem not in known
            ):
                path.unlink(missing_ok=True)


def _checked(video_id: str) -> str:
    if not _VIDEO_ID.fullmatch(video_id):
        raise ValueError("not a video id")
    return video_id
