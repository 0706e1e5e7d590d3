"""Instruments: measuring devices for finished videos, each calibrated on videos without a fault."""

from physgen.experiments.instruments.examine import Reading, examine
from physgen.experiments.instruments.registry import DOMAINS, INSTRUMENTS
from physgen.experiments.instruments.subject import Subject, subject_of

__all__ = ["DOMAINS", "INSTRUMENTS", "Reading", "Subject", "examine", "subject_of"]
