"""Whether the instruments are right."""
