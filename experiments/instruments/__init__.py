"""Instruments: measuring devices for finished videos, each calibrated on videos without a fault."""
