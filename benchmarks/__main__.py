"""All benchmarks, one after another: `make bench`."""

import sys
from importlib import import_module

for name in ("start", "training", "plain_loop", "prediction", "growth"):
    print(f"{name} ...", flush=True)
    sys.argv[1:] = []
    import_module(f"benchmarks.{name}").main()
