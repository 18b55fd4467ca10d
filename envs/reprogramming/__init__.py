"""Reprogramming cells: sequences of knock-outs and overexpressions on measured cells, with the optimum known."""
