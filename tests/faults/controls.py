"""Controls: the product broken on purpose. Each has to be seen, or the rig is blind."""
