"""Lightning callbacks: checkpoints, history, pictures, progress, early stopping, distillation."""
