"""`physgen figures` and `physgen paper`: committed results into figures, tables and numbers, and those into a PDF."""
