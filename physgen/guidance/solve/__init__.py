"""Solvers behind the guidances: Newton steps, least squares, feasible points, contradictions, certificates."""
