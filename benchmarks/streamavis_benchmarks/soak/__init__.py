"""Long runs of a network and of the live engine: memory, time per step, equal outputs."""
