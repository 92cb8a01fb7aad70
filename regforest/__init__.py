"""Vertebrae in CT and intervertebral discs in MR by forests on Haar-like box features."""

from regforest._version import __version__

__all__ = ["__version__"]
