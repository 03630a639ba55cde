"""Training: Lightning module, trainer, losses, callbacks, resume."""
