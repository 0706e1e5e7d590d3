"""Training of the embedded world."""
