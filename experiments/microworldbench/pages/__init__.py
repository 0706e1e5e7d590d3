"""Scores as text and pages."""
