"""Figures of cultures, learning and studies, as panels for paper and browser."""
