"""Fault injection: faults, their reports, recovery times and goals."""
