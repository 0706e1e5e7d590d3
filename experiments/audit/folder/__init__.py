"""`physgen audit FOLDER`: measure every clip of a captioned folder, in parallel, and say what is normal at each level.

A clip that cannot be read or measured is listed and left out. What was measured is on disk as soon as it is known, so
that an audit that was killed goes on where it was.
"""

from physgen.experiments.audit.folder.run import audit_folder

__all__ = ["audit_folder"]
