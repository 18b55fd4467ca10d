"""Seeds of the agents of one run."""

import numpy as np


def agent_seed(seed: int, index: int) -> int:
    """Return the seed of the agent at a place: the run's own for the first, and one made from it for each other."""
    return seed if index == 0 else int(np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1)[0])
