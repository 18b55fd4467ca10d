"""Biological simulators as batched Gymnasium environments."""
