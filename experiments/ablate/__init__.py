"""`physgen ablate`: sweeps whose runs are named by what they are, so that they are skipped, resumed and shared."""
