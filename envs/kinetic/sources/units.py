"""Units of concentrations in files."""

from ..errors import KineticInputError

CONCENTRATION_UNITS = {"M": 1.0, "mM": 1e-3, "uM": 1e-6, "nM": 1e-9}
"""mol/L for one of each unit."""


def molar(concentration_unit: str | None, place: str = "") -> float:
    """Return mol/L in one unit, 1e-6 for ``uM``; units are never guessed, and ``place`` names what needs one."""
    if concentration_unit not in CONCENTRATION_UNITS:
        needed = f"give the unit of {place}, one of" if place else "give one of"
        raise KineticInputError(f"concentration_unit={concentration_unit}: {needed} {', '.join(CONCENTRATION_UNITS)}.")
    return CONCENTRATION_UNITS[concentration_unit]
