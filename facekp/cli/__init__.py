"""The programs: Hydra configuration, validation of settings, readable errors, resume, sweeps."""
