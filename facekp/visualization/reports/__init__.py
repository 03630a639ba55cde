"""Reports of runs, sweeps and audits, each a single HTML page without external files."""
