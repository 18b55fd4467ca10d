"""Single-cell responses to perturbations: one episode moves one control cell towards the observed effect."""
