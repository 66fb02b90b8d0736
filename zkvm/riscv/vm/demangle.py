"""Names of C++'s and Rust's functions as people write them: scopes and name, without parameters and template arguments.

What is written in another way than the simple ones stays as the linker has it: a name is for reading, and nothing rests on it.
"""

from __future__ import annotations

import re

OPERATORS = {
    "cl": "()", "ix": "[]", "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "ss": "<=>", "aS": "=", "pl": "+",
    "mi": "-", "ml": "*", "dv": "/", "rm": "%", "ls": "<<", "rs": ">>", "pL": "+=", "mI": "-=", "mL": "*=", "pp": "++", "mm": "--",
    "pt": "->", "de": "*", "ng": "-", "nt": "!", "nw": " new", "na": " new[]", "dl": " delete", "da": " delete[]", "an": "&", "or": "|",
    "eo": "^", "co": "~", "aN": "&=", "oR": "|=", "eO": "^=", "dV": "/=", "rM": "%=", "lS": "<<=", "rS": ">>=", "aa": "&&", "oo": "||",
}  # fmt: skip
STANDARD = {"t": "std", "a": "std::allocator", "s": "std::string", "b": "std::basic_string", "i": "std::istream", "o": "std::ostream"}
INLINE_NAMESPACES = ("__1", "__2")
ANONYMOUS = "_GLOBAL__N_1"
"""What compilers call a namespace without a name."""
RUST_HASH = re.compile(r"h[0-9a-f]{16}")
RUST_SIGNS = {"$LT$": "<", "$GT$": ">", "$u20$": " ", "$C$": ",", "$RF$": "&", "$BP$": "*", "$LP$": "(", "$RP$": ")", "..": "::"}
DEEPEST = 64


class _Unknown(Exception):
    """A name of a kind that is not read here."""


class _Reader:
    """Goes through a mangled name."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def take(self, token: str) -> bool:
        """Whether this comes next; then it is passed."""
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def source_name(self) -> str:
        """A length and as many characters."""
        digits = re.match(r"\d+", self.text[self.at : self.at + 8])
        if digits is None:
            raise _Unknown
        start = self.at + len(digits[0])
        self.at = start + int(digits[0])
        if self.at > len(self.text):
            raise _Unknown
        return self.text[start : self.at]

    def skip(self, depth: int = 0) -> None:
        """Types and template arguments up to the E that ends them."""
        while not self.take("E"):
            if self.at >= len(self.text) or depth > DEEPEST:
                raise _Unknown
            head = self.text[self.at]
            if head.isdigit():
                self.source_name()
            elif literal := re.match(r"L[a-z]n?\d*E", self.text[self.at :]):
                self.at += len(literal[0])
            elif head == "S":
                self.at += len(re.match(r"S[0-9A-Z]*_|S[a-z]|S", self.text[self.at :])[0])  # type: ignore[index]
            else:
                self.at += 1
                if head in "NIXFJL":
                    self.skip(depth + 1)

    def part(self, before: list[str]) -> str | None:
        """The next part of a nested name; None where it adds nothing to what people read."""
        head = self.text[self.at : self.at + 2]
        if head[:1].isdigit():
            name = self.source_name()
            return None if name == ANONYMOUS else name
        if self.take("I"):
            self.skip()
            return None
        if self.take("B"):
            self.source_name()
            return None
        if self.take("L"):
            return None
        self.at += 2
        if head[:1] == "S" and head[1:] in STANDARD:
            return STANDARD[head[1:]]
        if head in ("C1", "C2", "C3") and before:
            return before[-1]
        if head in ("D0", "D1", "D2") and before:
            return f"~{before[-1]}"
        if head == "Ul":
            self.skip()
            self.at += len(re.match(r"\d*_?", self.text[self.at :])[0])  # type: ignore[index]
            return "lambda"
        if head in OPERATORS:
            return f"operator{OPERATORS[head]}"
        raise _Unknown


def readable(symbol: str) -> str:
    """The name of a function as its source has it, with its scopes; the symbol itself where that is not known."""
    reader = _Reader(symbol)
    if not reader.take("_Z"):
        return symbol
    try:
        parts: list[str] = []
        nested = reader.take("N")
        while nested and reader.text[reader.at : reader.at + 1] in tuple("rVKRO"):
            reader.at += 1
        while not (nested and reader.take("E")):
            found = reader.part(parts)
            if found is not None:
                parts.append(found)
            if not nested and parts and parts != ["std"]:
                break
    except _Unknown:
        return symbol
    if len(parts) > 1 and RUST_HASH.fullmatch(parts[-1]):
        return _rust(parts[:-1])
    return "::".join(part for part in parts if part not in INLINE_NAMESPACES) or symbol


def _rust(parts: list[str]) -> str:
    text = "::".join(part.removeprefix("_") if part.startswith("_$") else part for part in parts)
    for code, sign in RUST_SIGNS.items():
        text = text.replace(code, sign)
    return text
