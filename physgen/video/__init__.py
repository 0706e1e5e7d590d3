"""Videos on disk: read as fields of pixels, written to look at and to measure."""

from physgen.video.files import Video, read_video, stream_video, write_mp4, write_tiff

__all__ = ["Video", "read_video", "stream_video", "write_mp4", "write_tiff"]
