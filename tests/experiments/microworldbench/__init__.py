"""Tests of the benchmark: a small one in the published schema, and a real server that judges."""
