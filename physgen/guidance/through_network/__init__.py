"""Guidances that multiply with the Jacobian of the network."""
