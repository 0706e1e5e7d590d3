"""Folders of runs: what they hold, how they are found, where their numbers go."""
