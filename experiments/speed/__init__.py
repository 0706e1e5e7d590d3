"""`make bench`: what constraints and guidance cost, as ratios in one process."""
