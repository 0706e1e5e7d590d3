"""Weights of a world: where they are, and what is loaded on top of them."""
