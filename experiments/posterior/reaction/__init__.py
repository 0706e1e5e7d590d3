"""Growth and spread on a line, with a small model."""
