"""Learners of the PPO family and the baselines they are compared with."""
