"""Operations of the integer model: for each, what it computes on integers, and C code that does the same in the guest."""
