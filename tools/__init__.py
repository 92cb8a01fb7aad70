"""Scripts that make the data shipped with the package; run from the repository's root, not part of the wheel."""
