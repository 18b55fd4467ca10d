"""Searches for good settings of an algorithm: Optuna studies whose trials are ordinary runs."""
