"""A stirred tank in which cells turn a substrate into biomass; the agent sets the dilution rate."""

from typing import Any

import gymnasium
import numpy as np

STEP_HOURS = 0.5


class TankEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """Harvest biomass from a chemostat with Monod growth, without washing the cells out.

    Two pools, substrate s and biomass x (both g/L), follow ds/dt = d (s_feed - s) - mu x / y and dx/dt = (mu - d) x
    with mu = max_growth s / (half_saturation + s) and yield y = 0.5. The agent observes s, x and s_feed and sets the
    dilution rate d (1/h); a step's reward is the biomass harvested in it, d x (g/L/h) times half an hour.
    """

    def __init__(self, horizon: int = 48, max_growth: float = 0.8, half_saturation: float = 0.5) -> None:
        self.horizon, self.max_growth, self.half_saturation = horizon, max_growth, half_saturation
        self.observation_space = gymnasium.spaces.Box(0.0, 50.0, (3,), np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw the feed (g/L) and begin with few cells."""
        super().reset(seed=seed, options=options)
        self.feed = self.np_random.uniform(5.0, 15.0)
        self.substrate, self.biomass, self.elapsed = self.feed, 0.1, 0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Integrate half an hour with Euler steps of three minutes."""
        dilution = float(action[0])
        for _ in range(10):
            growth = self.max_growth * self.substrate / (self.half_saturation + self.substrate)
            substrate = dilution * (self.feed - self.substrate) - growth * self.biomass / 0.5
            self.biomass += STEP_HOURS / 10 * (growth - dilution) * self.biomass
            self.substrate = max(0.0, self.substrate + STEP_HOURS / 10 * substrate)
        self.elapsed += 1
        harvest = dilution * self.biomass * STEP_HOURS
        return self._observe(), harvest, False, self.elapsed >= self.horizon, {"biomass": self.biomass}

    def _observe(self) -> np.ndarray:
        return np.array([self.substrate, self.biomass, self.feed], np.float32)
