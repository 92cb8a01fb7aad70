"""Hostile input, made on the spot: coverage-guided fuzzing of every parser, and images with changed bytes."""
