"""Reactors: what flows in and out of a culture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ....configs.option import nearest
from ..kinetics import check_species, read_number, read_numbers

FloatArray = NDArray[np.float64]

REACTOR_KEYS: dict[str, tuple[str, ...]] = {
    "batch": (),
    "chemostat": ("dilution_per_h", "inlet"),
    "fed_batch": ("volume_L", "feed_L_per_h", "inlet"),
    "serial_dilution": ("period_h", "factor", "inlet"),
}


@dataclass(frozen=True)
class Reactor:
    """A reactor; what does not belong to its kind is zero.

    Attributes
    ----------
    kind
        batch, chemostat, fed_batch or serial_dilution.
    inlet
        Concentrations of what flows in (or of fresh medium), ``(S,)``, gDW/L and mmol/L.
    dilution
        D of a chemostat, 1/h.
    volume
        Start volume of a fed batch, L.
    feed_times, feed_rates
        Piecewise constant feed: from each time (h) on, L/h.
    period_steps
        Steps between serial dilutions.
    factor
        How far a serial dilution dilutes, above 1.
    """

    kind: str
    inlet: FloatArray
    dilution: float = 0.0
    volume: float = 1.0
    feed_times: FloatArray | None = None
    feed_rates: FloatArray | None = None
    period_steps: int = 0
    factor: float = 1.0

    def feed(self, time_h: FloatArray) -> FloatArray:
        """Return the planned feed F (K,), L/h, at times (K,)."""
        assert self.feed_times is not None
        assert self.feed_rates is not None
        place = np.searchsorted(self.feed_times, time_h + 1e-9, side="right") - 1
        return np.where(place < 0, 0.0, self.feed_rates[np.maximum(place, 0)])

    def transfer(self, state: FloatArray) -> FloatArray:
        """Return states (K, S) after a serial dilution with fresh medium."""
        diluted: FloatArray = state / self.factor + (1 - 1 / self.factor) * self.inlet
        return diluted


def read_reactor(entry: Mapping[str, Any], names: Sequence[str], dt_h: float) -> Reactor:
    """Return the reactor that a case file describes.

    Raises
    ------
    UserError
        With key, value and allowed range.
    """
    kind = str(entry.get("kind", "batch"))
    if kind not in REACTOR_KEYS:
        raise UserError(f"reactor.kind={kind}: {nearest(kind, REACTOR_KEYS)}")
    for key in entry:
        if key not in ("kind", *REACTOR_KEYS[kind]):
            known = ", ".join(REACTOR_KEYS[kind]) or "no other keys"
            raise UserError(f"reactor.{key}: reactor.kind={kind} has {known}.")
    inlet = np.zeros(len(names))
    for name, value in read_numbers("reactor.inlet", entry.get("inlet") or {}, minimum=0).items():
        check_species("reactor.inlet", name, names)
        inlet[list(names).index(name)] = value
    if kind == "chemostat":
        dilution = read_number("reactor.dilution_per_h", entry.get("dilution_per_h"), minimum=0)
        if dilution * dt_h >= 1:
            raise UserError(
                f"reactor.dilution_per_h={dilution:g} with dt_h={dt_h:g}: their product must be below 1; lower dt_h."
            )
        return Reactor(kind, inlet, dilution=dilution)
    if kind == "fed_batch":
        volume = read_number("reactor.volume_L", entry.get("volume_L"), above=0)
        times, rates = _read_feed(entry.get("feed_L_per_h", 0.0))
        if dt_h * max(rates, default=0.0) >= volume:
            raise UserError(
                f"reactor.feed_L_per_h={max(rates):g} with dt_h={dt_h:g}: a step must feed less than volume_L; lower "
                "dt_h."
            )
        return Reactor(kind, inlet, volume=volume, feed_times=np.array(times), feed_rates=np.array(rates))
    if kind == "serial_dilution":
        period = read_number("reactor.period_h", entry.get("period_h"), above=0)
        factor = read_number("reactor.factor", entry.get("factor"), above=1)
        steps = round(period / dt_h)
        if steps < 1 or abs(steps * dt_h - period) > 1e-9 * period:
            raise UserError(f"reactor.period_h={period:g}: give a multiple of dt_h={dt_h:g}.")
        return Reactor(kind, inlet, period_steps=steps, factor=factor)
    return Reactor(kind, inlet)


def _read_feed(feed: Any) -> tuple[list[float], list[float]]:
    """Return times and rates of ``rate`` or ``[[time, rate], ...]``."""
    if isinstance(feed, int | float):
        return [0.0], [read_number("reactor.feed_L_per_h", feed, minimum=0)]
    try:
        pairs = [(float(time), float(rate)) for time, rate in feed]
    except (TypeError, ValueError):
        raise UserError(f"reactor.feed_L_per_h={feed}: give a rate, or [[time_h, rate], ...].") from None
    times = [time for time, _ in pairs]
    if not pairs or sorted(set(times)) != times or min(rate for _, rate in pairs) < 0 or not np.isfinite(pairs).all():
        raise UserError(f"reactor.feed_L_per_h={feed}: give rising times with rates of at least 0.")
    return times, [rate for _, rate in pairs]
