"""Baselines that work on any environment: random actions and searches over answers."""
