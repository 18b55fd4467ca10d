"""Building, keeping and checking transition tables."""
