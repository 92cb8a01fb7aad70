"""What the claims of speed in the README are measured with: ``python -m benchmarks --help``."""
