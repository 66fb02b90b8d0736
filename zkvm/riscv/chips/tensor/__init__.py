"""Chips of tensor calls: products of matrices without instructions."""
