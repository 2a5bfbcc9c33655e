"""Training of generators against discriminators."""
