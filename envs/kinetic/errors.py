"""The one exception of the kinetic modules."""

from ... import UserError


class KineticInputError(UserError):
    """A network, a steady state or a set of Michaelis constants cannot be used; the message says what to change."""
