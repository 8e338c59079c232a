"""`python -m perf`: NVIDIA's perf_analyzer. The comparison with the bare engine is `python -m perf.bench_core`."""

from __future__ import annotations

import sys

from perf import perf_analyzer

if __name__ == "__main__":
    try:
        sys.exit(perf_analyzer.main())
    except KeyboardInterrupt:
        sys.exit(130)
