"""Training: `fit`, Lightning module, trainer, losses, callbacks, warm start, resume."""
