"""Flux-balance models that come with bioppo, one YAML file each."""
