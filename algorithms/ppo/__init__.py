"""Proximal policy optimisation as stable-baselines3 has it."""
