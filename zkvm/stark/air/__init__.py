"""Arithmetization: expressions, columns, chips, buses, the checker and the lowering to tapes. Knows no RISC-V and no numba."""
