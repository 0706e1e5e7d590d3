"""`physgen sample`."""
