"""How the CPU's memory is handed out while training."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def disable_trim() -> bool:
    """Tells glibc to keep freed memory in place of handing it back to the system after every large tensor.

    Fetching the pages of a hundred-megabyte tensor anew at every step costs more than the arithmetic on it.
    Returns True if the C library took the settings (glibc does; others do not have them).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
