"""Distillation: a teacher's outputs, kept on disk, guide a causal network on the same clips."""
