"""Guidances by rewards: samples that compete or are dropped, and noise that is searched for."""
