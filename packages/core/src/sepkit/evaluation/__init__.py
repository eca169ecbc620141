"""Evaluation: metrics whose names carry their definition, recipes that fix the rest, and one row for every number."""
