"""The operations of a tape (:mod:`zkvm.stark.air.tape`), for all who write or run one."""

from __future__ import annotations

(
    OP_MAIN, OP_PRE, OP_BUS, OP_NEXT,  # dst = column a
    OP_ADD, OP_SUB, OP_MUL,  # dst = a op b
    OP_ADDK, OP_MULK, OP_RSUBK,  # dst = a + k, a k, k - a, k = pool[b]
    OP_FILL,  # dst = pool[a]
    OP_SUBMULK,  # dst = dst - a k: accumulates in place
    OP_COPY,  # dst = a
    OP_ACC,  # group b accumulates the a terms that follow: register times challenge power (its number)
    OP_OUT,  # output dst = register a
    OP_EXT_MUL,  # (dst, dst1, dst2) = (a, a1, a2) (b, b1, b2) over the extension
    OP_EXT_SUM,  # (dst, dst1, dst2) = B + the a terms that follow, B the pool's triple at b: register times triple (its place)
    OP_TERM,  # not run by itself: a term of the operation before it, register a and factor b
) = range(18)  # fmt: skip
