"""`physgen evaluate`: a world against the simulators that it learned from."""
