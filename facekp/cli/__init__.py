"""The command-line programs: Hydra configuration, validation, error messages, sweeps."""
