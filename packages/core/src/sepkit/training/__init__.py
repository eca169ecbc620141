"""Training: one loop for every method; what is particular to a method is its loss."""
