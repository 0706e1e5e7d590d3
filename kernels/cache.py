"""Where generated and compiled kernels are kept between runs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def cache_directory() -> Path:
    """Folder of generated modules: ``$PHYSGEN_CACHE``, else ``physgen`` in the user's cache, else a temporary one.

    A folder that others own or may write is not used, for what lies in it is run; neither is one that cannot be
    written, or a user without a home. The temporary one is removed when Python ends.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(os.environ.get("PHYSGEN_CACHE") or Path(home) / "physgen")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            status = folder.stat()
            if status.st_uid == os.fstat(file.fileno()).st_uid and not status.st_mode & 0o022:
                return folder
    except (OSError, RuntimeError):  # of a folder, of a home
        pass
    temporary = tempfile.mkdtemp(prefix="physgen-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary)
