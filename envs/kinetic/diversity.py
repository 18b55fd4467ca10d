"""How different sets of Michaelis constants are from each other."""

import numpy as np

from .network import BoolArray, FloatArray, IntArray, Network
from .saturation import coupled_slots

LARGEST_SAMPLE = 500
"""Sets compared in pairs; of more, the first ones."""
CLUSTER_DISTANCE = 1.0
"""Root-mean-square distance in ln K: a factor of e in every constant."""


def influential_parameters(network: Network) -> BoolArray:
    """Return which constants can change the Jacobian at all, ``(n_parameters,)``.

    A constant matters if it takes part in a rate and a variable species stands in its own group of the denominator;
    otherwise it scales the maximal rate and nothing else.
    """
    variable = set(network.variables)
    influential = set()
    for reaction in network.reactions:
        for group in coupled_slots(reaction):
            acting = [slot for slot in group if reaction.is_acting(slot)]
            if any(slot.species in variable for slot in acting):
                influential |= {slot.parameter for slot in acting}
    return np.array([name in influential for name in network.parameter_names], dtype=bool)


def mean_distance(ln_km: FloatArray, group: IntArray) -> float:
    """Return the mean root-mean-square distance in ln K over all pairs of sets of the same group.

    Parameters
    ----------
    ln_km
        Sets, ``(n, P)``.
    group
        Which sets may be compared, ``(n,)``: those of one steady state.

    Returns
    -------
    float
        In ln units; 0 where no group has two sets.
    """
    distances = [_pairwise(ln_km[group == value]) for value in np.unique(group)]
    joined = np.concatenate([*distances, np.zeros(0)])
    return float(joined.mean()) if len(joined) else 0.0


def count_clusters(ln_km: FloatArray, group: IntArray) -> int:
    """Return how many clusters the sets of every group form, added up.

    Clusters are merged while the average distance between them is below a factor of e in every constant.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    total = 0
    for value in np.unique(group):
        distances = _pairwise(ln_km[group == value])
        total += (
            int(fcluster(linkage(distances, "average"), CLUSTER_DISTANCE, "distance").max()) if len(distances) else 1
        )
    return total


def _pairwise(sets: FloatArray) -> FloatArray:
    """Return the root-mean-square distance of every pair, condensed."""
    from scipy.spatial.distance import pdist

    sample = sets[:LARGEST_SAMPLE]
    distances: FloatArray = pdist(sample) / np.sqrt(sets.shape[1]) if len(sample) > 1 else np.zeros(0)
    return distances
