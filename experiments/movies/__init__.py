"""Real movies as a world sees them: squares of its size, read as one of its families."""
