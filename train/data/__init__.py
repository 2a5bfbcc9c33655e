"""Data sets: read, packed, and read again as batches."""
