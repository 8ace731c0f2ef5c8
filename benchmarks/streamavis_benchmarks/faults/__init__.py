"""Faults on purpose: broken, watched, and held to their goals."""
