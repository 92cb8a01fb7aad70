"""Phantoms: data sets that are made here, written in the layouts of real ones."""
