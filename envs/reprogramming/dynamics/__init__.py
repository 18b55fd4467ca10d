"""What moves cells: drawn or persistent transitions, and combinations of perturbations."""
