"""How fields go over time: they only grow, they stay, they repeat."""
