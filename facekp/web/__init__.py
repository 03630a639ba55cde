"""Pages that are served to a browser on this machine: annotating photos, and the camera."""
