"""`physgen train`: the embedded world from nothing but the simulators."""
