"""What numba compiles for the machine: imported only to compile (:mod:`zkvm.stark.kernels.source`)."""
