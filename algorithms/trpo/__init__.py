"""Trust-region policy optimisation as sb3-contrib has it."""
