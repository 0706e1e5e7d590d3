"""Guidance in the embedded world: every constraint with every algorithm, and parameters imposed and measured back."""
