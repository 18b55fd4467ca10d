"""The loaded, immutable part of the environment: steady states, thresholds, and what an agent moves and sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .calibration import calibrate, note_easy_threshold
from .config import LN_KM_BOUNDS, KineticConfig
from .diversity import influential_parameters
from .network import FloatArray, IntArray, Network
from .nonlinear import NonlinearModel
from .parameters import ParameterSpace, parameter_space
from .simulator import KineticSimulator
from .sources.models import load_starts, load_states, parameter_order
from .steady_state import SteadyState

FEATURE_LIMIT = 5.0
"""Standard deviations beyond which a feature of a steady state is clipped."""


@dataclass(frozen=True, slots=True, eq=False)
class KineticTask:
    """What the environments of all splits share.

    Parameters
    ----------
    network
        The network of every steady state.
    states
        Steady states, those of training first.
    simulators
        A simulator of each.
    lambda_part
        Threshold of each, 1/h, ``(n_states,)``.
    training, testing
        Positions of the states that are drawn from in training and validation, and in the test split.
    parameters
        What the agent moves.
    features
        What it sees of each state, ``(n_states, n_features)``; no columns if it sees nothing.
    nonlinear
        The nonlinear model of each state, where it is integrated; else empty.
    starts
        ln K of sets that episodes may start from, ``(n, n_parameters)``, or None.
    """

    network: Network
    states: tuple[SteadyState, ...]
    simulators: tuple[KineticSimulator, ...]
    lambda_part: FloatArray
    training: IntArray
    testing: IntArray
    parameters: ParameterSpace
    features: FloatArray
    nonlinear: tuple[NonlinearModel, ...] = ()
    starts: FloatArray | None = None

    @property
    def compared(self) -> IntArray:
        """Positions, among all constants, of the moved ones that can change the Jacobian."""
        compared: IntArray = self.parameters.index[influential_parameters(self.network)[self.parameters.index]]
        return compared

    def max_eigenvalue(self, ln_km: FloatArray, state: IntArray) -> FloatArray:
        """Return lambda_max, 1/h, ``(n,)``, of sets ``(n, n_parameters)``, each at its own steady state ``(n,)``."""
        present = np.unique(state)
        if len(present) == 1:
            return self.simulators[int(present[0])].max_eigenvalue(ln_km)
        largest: FloatArray = np.empty(len(ln_km))
        for index in present:
            rows = state == index
            largest[rows] = self.simulators[index].max_eigenvalue(ln_km[rows])
        return largest

    def ln_concentration(self, state: IntArray) -> FloatArray:
        """Return ln x of the species of every moved constant, x in mol/L, ``(n, P)``, for states ``(n,)``."""
        table = np.array([simulator.ln_concentration[self.parameters.index] for simulator in self.simulators])
        chosen: FloatArray = table[state]
        return chosen


def load_task(config: KineticConfig) -> KineticTask:
    """Load the model and its steady states and, where the threshold is a rule, calibrate it (all cached on disk)."""
    rows = [config.member] if config.members is None else list(config.members)
    tested = rows if config.held_out is None else list(config.held_out)
    names: list[int | str] = list(dict.fromkeys([*rows, *tested]))
    network, states = load_states(config, names)
    task = make_task(
        config,
        network,
        states,
        training=[names.index(row) for row in rows],
        testing=[names.index(row) for row in tested],
        starts=load_starts(config, network),
    )
    if not isinstance(config.lambda_part, str):
        note_easy_threshold(task.simulators[0], float(config.lambda_part), bounds=LN_KM_BOUNDS)
    return task


def make_task(
    config: KineticConfig,
    network: Network,
    states: Sequence[SteadyState],
    *,
    training: Sequence[int] = (0,),
    testing: Sequence[int] = (0,),
    starts: FloatArray | None = None,
) -> KineticTask:
    """Make the task of given steady states."""
    simulators = tuple(KineticSimulator(network, state, workers=config.workers) for state in states)
    parameters = parameter_space(
        network.parameter_names,
        network.acting,
        include_inert=config.include_inert,
        order=parameter_order(config, network),
        fixed=config.fixed,
        ranges=config.ranges,
    )
    integrated = config.robustness_weight > 0 or config.robustness_sets > 0
    return KineticTask(
        network=network,
        states=tuple(states),
        simulators=simulators,
        lambda_part=thresholds(config, simulators),
        training=np.array(training, dtype=np.intp),
        testing=np.array(testing, dtype=np.intp),
        parameters=parameters,
        features=state_features(network, states, list(training)) if config.condition else np.zeros((len(states), 0)),
        nonlinear=tuple(NonlinearModel(network, state) for state in states) if integrated else (),
        starts=starts,
    )


def thresholds(config: KineticConfig, simulators: Sequence[KineticSimulator]) -> FloatArray:
    """Return the threshold of every steady state, 1/h: a number, or calibrated by a rule."""
    if not isinstance(config.lambda_part, str):
        return np.full(len(simulators), float(config.lambda_part))
    reference = simulators if config.lambda_part_scope == "member" else simulators[:1]
    values = [calibrate(simulator, config.lambda_part, bounds=LN_KM_BOUNDS) for simulator in reference]
    return np.resize(np.array(values), len(simulators))


def state_features(network: Network, states: Sequence[SteadyState], training: Sequence[int]) -> FloatArray:
    """Return ln x, ln |v|, sign v and ln rho of every state, standardised over the training states and clipped.

    A feature that all training states share is 0 in all states: nothing could be learned about it. All are divided by
    the root of their number, so that a state as a whole weighs as much as a single parameter, however large the model.
    """
    rows: Any = [
        np.concatenate(
            [
                np.log(state.concentration),
                np.log(np.abs(state.flux)),
                np.sign(state.flux),
                state.ln_displacement[network.reversible],
            ]
        )
        for state in states
    ]
    table = np.array(rows)
    mean, deviation = table[training].mean(axis=0), table[training].std(axis=0)
    varies = deviation > 1e-9
    features: FloatArray = np.where(varies, (table - mean) / np.where(varies, deviation, 1.0), 0.0).clip(
        -FEATURE_LIMIT, FEATURE_LIMIT
    )
    features /= np.sqrt(features.shape[1])
    return features
