"""What a start leaves behind, given back."""

from __future__ import annotations

import ctypes
import gc


def tidy() -> None:
    """Once all is loaded: free pages go back to the system (reading a tokenizer leaves some 30 MB), and the
    garbage collector need not look at what stays for good."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
