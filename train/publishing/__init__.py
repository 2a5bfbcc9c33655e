"""From finished runs to a checkpoint with its card."""
