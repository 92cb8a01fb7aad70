"""The papers' experiments, each as one command: ``python -m experiments.<name>``."""
