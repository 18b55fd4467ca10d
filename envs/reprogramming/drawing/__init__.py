"""Figures of runs and studies, and the tables that they show."""
