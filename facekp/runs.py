"""What lies where in the folder of a run."""

RESULTS = "results.json"
"""What the run came to; its presence means that the run is whole."""
ERROR = "error.txt"
"""Why a job of a sweep failed; the last line says it."""
HISTORY = "metrics.csv"
"""A row an epoch."""
