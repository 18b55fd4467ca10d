"""Refine the Michaelis constants of a kinetic model until its steady state is stable and fast."""
