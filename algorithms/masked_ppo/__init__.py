"""Proximal policy optimisation that never draws excluded actions, as sb3-contrib has it."""
