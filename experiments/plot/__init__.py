"""`physgen plot`: any two columns of a sweep's table, with intervals."""
