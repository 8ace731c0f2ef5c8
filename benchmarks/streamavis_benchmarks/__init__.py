"""Programs that measure StreamAVIS: for a clone of the repository, not in the wheel."""
