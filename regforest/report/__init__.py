"""Showing results: pictures of labelled spines, tables, charts, and one self-contained page."""

from regforest.report.figures import case_picture, preview_png
from regforest.report.page import Card, write_page
from regforest.report.tables import Table

__all__ = ["Card", "Table", "case_picture", "preview_png", "write_page"]
