"""Holds as cases: what keeps units still, why, and how that ends."""
