"""Mitosis goes through its phases in order."""
