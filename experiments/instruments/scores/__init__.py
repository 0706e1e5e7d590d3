"""What the instruments say of the micro task set."""
