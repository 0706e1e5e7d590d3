"""Measurements of the embedded world."""
