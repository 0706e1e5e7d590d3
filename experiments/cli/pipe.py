"""A reader that closes the pipe early, such as `head`, ends the program."""

from __future__ import annotations

import logging
import os
import sys

#: what a shell reports of a program that a closed pipe ended: 128 + SIGPIPE
CLOSED = 141


class PipeHandler(logging.StreamHandler):
    """Log lines to a stream; a closed pipe is raised, where logging would print a traceback and go on."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            raise
        super().handleError(record)


def end_quietly() -> int:
    """Let nothing more be written to the closed pipe, and return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED
