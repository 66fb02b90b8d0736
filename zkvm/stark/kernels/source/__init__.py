"""What numba compiles: intrinsics, inlined helpers and kernels. Python drivers and callers are one package above.

Only :mod:`zkvm.stark.kernels.library` imports it, when kernels have to be compiled.
"""
