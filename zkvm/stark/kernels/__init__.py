"""Compiled kernels: arrays in, preallocated arrays out. Only the prover and the executor import this package."""
