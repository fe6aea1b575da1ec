"""The FitAI device: a local training log that syncs."""
