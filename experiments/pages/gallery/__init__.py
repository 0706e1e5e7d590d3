"""`physgen report`: runs as one page that needs no server: films to play, filters, pairs, a table."""
