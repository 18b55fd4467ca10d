"""Hydra's configuration: YAML groups, the schema of a run and the option fields that describe it."""
