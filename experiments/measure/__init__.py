"""Yardsticks: distances, laws, recognition, intervals, tables."""
