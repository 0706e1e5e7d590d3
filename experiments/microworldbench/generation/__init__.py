"""A video of every task."""
