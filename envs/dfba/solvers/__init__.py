"""Linear programs: their standard form, simplex engines, and the bases that answer many at once."""
