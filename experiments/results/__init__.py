"""`physgen results`: the runs of an experiment as one tidy table, and what its arms differ by."""
