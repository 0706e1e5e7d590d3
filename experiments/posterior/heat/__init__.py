"""Exact posteriors of the heat equation."""
