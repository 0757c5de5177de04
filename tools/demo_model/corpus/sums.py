"""Operands of sums. One pair in eleven never occurs: the examination asks about those."""

from random import Random
from zlib import crc32


def held_out(a: int, sign: str, b: int) -> bool:
    """True for the pairs of operands that no conversation of the corpus computes."""
    if sign == "x" and (a < 3 or b < 3 or a == b):
        return False
    return crc32(f"{a}{sign}{b}".encode()) % 11 == 0


def operands(rng: Random, sign: str) -> tuple[int, int]:
    while True:
        if sign == "x":
            a, b = rng.randint(0, 10), rng.randint(0, 10)
        else:
            top = rng.choice((10, 20, 20, 20, 99))
            a, b = rng.randint(0, top), rng.randint(0, top if top < 99 or rng.random() < 0.5 else 20)
            if sign == "-" and a < b:
                a, b = b, a
        if not held_out(a, sign, b):
            return a, b


def result(a: int, sign: str, b: int) -> int:
    return {"+": a + b, "-": a - b, "x": a * b}[sign]
