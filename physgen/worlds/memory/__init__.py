"""What a world needs of a machine, told before anything is loaded."""
