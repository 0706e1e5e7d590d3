"""`physgen audit`."""
