"""Random numbers for whole batches: each one a function of its copy's key, its episode and its place alone.

A generator per copy would have to be asked copy by copy. Here a number is a hash of where it stands (the output
function of SplitMix64: Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195), so that a batch is drawn at once, row
i is the same however many copies there are, and the whole state is a count of episodes.
"""

import numpy as np
from numpy.typing import NDArray

UInt64Array = NDArray[np.uint64]

Place = int | NDArray[np.int64]
"""A place in an episode's stream, for all copies or (n,) for each."""

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The odd number nearest to 2^64 divided by the golden ratio: it spreads neighbouring counts."""


class CounterStreams:
    """A stream for every copy, begun anew with each of its episodes.

    Parameters
    ----------
    keys
        (num_envs,) uint64.

    Attributes
    ----------
    episode
        (num_envs,) uint64: how many episodes each copy has begun.
    """

    def __init__(self, keys: UInt64Array) -> None:
        self.keys = keys
        self.episode = np.zeros(len(keys), dtype=np.uint64)

    def begin(self, copies: NDArray[np.int64]) -> None:
        """Begin the next episode of these copies."""
        self.episode[copies] += np.uint64(1)

    def bits(self, copies: NDArray[np.int64], place: Place, count: int = 1) -> UInt64Array:
        """Return 64 random bits for the places ``place .. place + count - 1`` of an episode, (n, count)."""
        start = mix(np.add(self.keys[copies], self.episode[copies] * GAMMA, dtype=np.uint64))
        first = np.asarray(place).astype(np.uint64).reshape(-1, 1)
        places = np.add(first, np.arange(1, count + 1, dtype=np.uint64), dtype=np.uint64) * GAMMA
        return mix(np.add(start[:, None], places, dtype=np.uint64))

    def uniform(self, copies: NDArray[np.int64], place: Place, count: int = 1) -> NDArray[np.float64]:
        """Return numbers in the open interval (0, 1), (n, count): midpoints of 2^53 equal parts."""
        numbers = (self.bits(copies, place, count) >> np.uint64(11)).astype(np.float64)
        return (numbers + 0.5) * 2.0**-53

    def integers(self, copies: NDArray[np.int64], place: Place, below: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Return integers in [0, below), (n,); below stays far under 2^53, so that no value is preferred visibly."""
        drawn: NDArray[np.int64] = (self.uniform(copies, place)[:, 0] * below).astype(np.int64)
        return drawn

    def normal(self, copies: NDArray[np.int64], place: Place, count: int) -> NDArray[np.float64]:
        """Return standard normal numbers (n, count), by inverting their distribution function."""
        from scipy.special import ndtri

        drawn: NDArray[np.float64] = ndtri(self.uniform(copies, place, count))
        return drawn


def mix(bits: UInt64Array) -> UInt64Array:
    """Return a bijection of 64-bit numbers whose every output bit depends on every input bit."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64Array = bits ^ (bits >> np.uint64(31))
    return mixed
