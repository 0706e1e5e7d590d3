"""How many objects there are, and that they stay."""
