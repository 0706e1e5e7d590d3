"""Videos on disk: read as fields of pixels, written to look at and to measure."""

from physgen.video.read import Extent, is_video_folder, measure_extent, read_video, stream_video
from physgen.video.recording import Selection
from physgen.video.video import Video
from physgen.video.write import write_mp4, write_tiff

__all__ = [
    "Extent",
    "Selection",
    "Video",
    "is_video_folder",
    "measure_extent",
    "read_video",
    "stream_video",
    "write_mp4",
    "write_tiff",
]
