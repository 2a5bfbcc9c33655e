"""Scores of a checkpoint, and comparisons of several."""
