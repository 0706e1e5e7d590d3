"""Hydra configurations, found as `pkg://physgen.conf`."""
