"""The noise of the sampling rule: a function of (seed, position, token), so that any machine can compute it.

    mix(z):  z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9;  z ^= z >> 27;  z *= 0x94D049BB133111EB;  z ^= z >> 31
    bits   = mix(mix(mix(seed + G) + position * G) + (token + 1) * G)        G = 0x9E3779B97F4A7C15, all modulo 2^64
    u      = (floor(bits / 2^12) + 1/2) / 2^52                               strictly between 0 and 1, exact in float64
    gumbel = -log(-log(u))

`mix` is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), so that the noise of one position is a SplitMix64
sequence read at the token's place. The integers are the same everywhere; the two logarithms may differ between
processors in the last of 52 bits, which could change a token about once in 10^15.
"""

import math

import numpy as np

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_C1 = 0xBF58476D1CE4E5B9
_C2 = 0x94D049BB133111EB
# As arrays without dimensions: numpy takes these up faster than its own scalars.
_GOLDEN_64, _C1_64, _C2_64, _12, _27, _30, _31 = (np.array(n, np.uint64) for n in (_GOLDEN, _C1, _C2, 12, 27, 30, 31))


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * _C1) & _MASK
    z = ((z ^ (z >> 27)) * _C2) & _MASK
    return z ^ (z >> 31)


def seed_key(seed: int) -> int:
    """The part of the hash that a whole text shares; `seed` from 0 to 2^64 - 1."""
    return _mix((seed + _GOLDEN) & _MASK)


def noise_bits(key: int, position: int, tokens: np.ndarray) -> np.ndarray:
    """The upper 52 bits of the hash: uint64 of the shape of `tokens`. `key` is seed_key(seed)."""
    start = _mix((key + position * _GOLDEN) & _MASK)
    z = tokens.astype(np.uint64)  # ours to overwrite
    z *= _GOLDEN_64
    z += np.uint64((start + _GOLDEN) & _MASK)
    z ^= z >> _30
    z *= _C1_64
    z ^= z >> _27
    z *= _C2_64
    z ^= z >> _31
    z >>= _12
    return z


def gumbel_of(bits: np.ndarray) -> np.ndarray:
    """Standard Gumbel noise, float64, from `noise_bits`."""
    u = bits + 0.5
    u *= 2.0**-52
    np.log(u, out=u)
    np.negative(u, out=u)
    np.log(u, out=u)
    return np.negative(u, out=u)


def gumbel(seed: int, position: int, tokens: np.ndarray) -> np.ndarray:
    """Standard Gumbel noise of some tokens at one position: float64 of the shape of `tokens`."""
    return gumbel_of(noise_bits(seed_key(seed), position, tokens))


def least_bits(noise: float) -> int:
    """No token whose bits are fewer has a noise of `noise` or more; a margin above rounding is left."""
    u = math.exp(-math.exp(-noise)) if noise > -700 else 0.0
    return max(0, math.floor(u * 2.0**52 * (1 - 1e-12)) - 1)
