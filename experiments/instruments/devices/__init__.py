"""What each instrument measures."""
