"""CURVE keys: who may speak with whom where a folder's permissions do not say it."""

from dataclasses import dataclass, field

import zmq


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both in Z85, 40 characters each; the secret stays out of every text."""

    public: str
    secret: str = field(repr=False)


def new_keys() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())
