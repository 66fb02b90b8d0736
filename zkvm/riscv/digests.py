"""The digests of the machines, written by ``tools/digests.py``; tests compare them with what the chips give.

They are what every proof is bound to and what an image ID follows from. Written down, a change of any constraint is seen here, and a
verifier derives the tables that a proof has, not all that there are.
"""

DIGESTS = {
    "rv32im": "3e403287d4400f28bfbc42c83b0de1613e9a4981bfb3ec9c16f0fd157b7ca2ec",
    "rv32im segment": "ef64bce6ef6e9f3d087907537e25fb34acd8f6f6dab17b12967977fa9aec3196",
    "rv32im memory": "c1ee38881650601ff731e4c36496bf2e0d4646f443b39e024def722c02289236",
}
"""32 bytes in hexadecimal digits, by the name of the machine."""
