"""Weights that the original repositories wrote, as a checkpoint folder of this package, and back.

Run it: `python -m mirrorgan.released` (see `__main__.py`). In Python: `convert.convert` and `back.write_released`.
"""
