"""Committed results of the paper."""
