"""Videos restored in one pass: timestamps, other streams, colour tags and the number of frames stay as they are."""

from restoration.video.applying import Films
from restoration.video.restoring import restore_video
from restoration.video.settings import Settings

__all__ = ["Films", "Settings", "restore_video"]
