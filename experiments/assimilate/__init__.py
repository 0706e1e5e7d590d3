"""Filling in what was not seen: what information is worth to a model, to a law, and to both."""
