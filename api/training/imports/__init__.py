"""Training logs of other apps, handed in over REST: looked at first, imported as jobs, undone as a whole."""
