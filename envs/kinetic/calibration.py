"""Samplers of Michaelis constants, and thresholds of the largest eigenvalue calibrated on them."""

import logging
from enum import StrEnum
from importlib.metadata import version

import numpy as np

from .disk_cache import read_entry, write_entry
from .errors import KineticInputError
from .network import FloatArray
from .simulator import KineticSimulator

CALIBRATION_SETS = 20_000
CALIBRATION_SEED = 0
VALID_SHARE = 0.003
FORMAT = 1
EASY_SHARE = 0.2
"""Where uniform saturations are valid more often than this, finding valid sets says little of a method."""
EASY_SETS = 200
LARGEST_QUICK = 100
"""Independent species up to which the eigenvalues of that many sets take less than half a second."""

logger = logging.getLogger(__name__)


class ThresholdRule(StrEnum):
    """How a threshold is calibrated: the sampler whose best 0.3 % of sets are valid."""

    AUTO_SATURATION = "auto_saturation"
    AUTO_LOG_UNIFORM = "auto_log_uniform"


def sample_log_uniform(
    simulator: KineticSimulator, count: int, generator: np.random.Generator, *, bounds: tuple[float, float]
) -> FloatArray:
    """Draw ln Km uniformly between bounds in ln(mol/L), ``(count, n_parameters)``."""
    return generator.uniform(*bounds, size=(count, len(simulator.parameter_names)))


def sample_uniform_saturation(
    simulator: KineticSimulator, count: int, generator: np.random.Generator, *, bounds: tuple[float, float]
) -> FloatArray:
    """Draw ``y / (1 + y)`` of every slot uniformly in (0, 1), as ORACLE does, ``(count, n_parameters)``.

    ``ln K = ln x + ln((1 - sigma) / sigma)``, clipped to the bounds in ln(mol/L).
    """
    saturation = generator.random((count, len(simulator.parameter_names)))
    # The generator may return 0, whose logarithm the clipping turns into the upper bound.
    with np.errstate(divide="ignore"):
        ln_ratio = np.log1p(-saturation) - np.log(saturation)
    ln_km: FloatArray = (simulator.ln_concentration + ln_ratio).clip(*bounds)
    return ln_km


SAMPLERS = {
    ThresholdRule.AUTO_SATURATION: sample_uniform_saturation,
    ThresholdRule.AUTO_LOG_UNIFORM: sample_log_uniform,
}


def calibrate(simulator: KineticSimulator, rule: str, *, bounds: tuple[float, float]) -> float:
    """Return the 0.3 % quantile of the largest eigenvalue over 20,000 drawn sets, 1/h, rounded to 0.1.

    The draws have a fixed seed, and the result is kept on disk by state, rule and bounds.

    Parameters
    ----------
    simulator
        The model at its steady state.
    rule
        A :class:`ThresholdRule` or its name.
    bounds
        Smallest and largest ln Km, ln(mol/L).

    Raises
    ------
    KineticInputError
        The rule is unknown, or the threshold is not negative.
    """
    if rule not in {*ThresholdRule}:
        raise KineticInputError(f"lambda_part={rule}: give a negative number or one of {', '.join(ThresholdRule)}.")
    key = {
        "format": FORMAT,
        "state": simulator.content_hash,
        "rule": str(rule),
        "bounds": [float(bound) for bound in bounds],
        "numpy": version("numpy"),
    }
    threshold = read_entry("threshold", key)
    if not isinstance(threshold, float):
        generator = np.random.default_rng(CALIBRATION_SEED)
        sets = SAMPLERS[ThresholdRule(rule)](simulator, CALIBRATION_SETS, generator, bounds=bounds)
        threshold = round(float(np.quantile(simulator.max_eigenvalue(sets), VALID_SHARE)), 1)
        if not threshold < 0:
            raise KineticInputError(
                f"lambda_part={rule} gives {threshold:g} 1/h: the state has no stable sets in the calibration sample; "
                "give a negative number, or another state."
            )
        write_entry("threshold", key, threshold)
    return threshold


def note_easy_threshold(simulator: KineticSimulator, threshold: float, *, bounds: tuple[float, float]) -> None:
    """Log that a given threshold is easy to reach: by more than 20 % of sets with uniform saturations.

    Parameters
    ----------
    simulator
        The model at its steady state; large ones are passed over, since the draws would take too long.
    threshold
        Largest eigenvalue of a valid set, 1/h.
    bounds
        Smallest and largest ln Km, ln(mol/L).
    """
    if simulator.n_independent > LARGEST_QUICK:
        return
    generator = np.random.default_rng(CALIBRATION_SEED)
    sets = sample_uniform_saturation(simulator, EASY_SETS, generator, bounds=bounds)
    share = float(np.mean(simulator.max_eigenvalue(sets) <= threshold))
    if share > EASY_SHARE:
        logger.warning(
            "lambda_part=%g is easy: %.0f %% of sets with uniform saturations are valid, so that a method that finds "
            "valid sets has shown little; give a lower number, or auto_saturation.",
            threshold,
            100 * share,
        )
