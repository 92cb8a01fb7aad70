"""Showing results: pictures of labelled spines, tables, charts, and one self-contained page."""

from regforest.report.cards import Card
from regforest.report.curved import Masks
from regforest.report.page import PageRoom, write_page
from regforest.report.picture import CasePicture, case_picture
from regforest.report.png import picture_png
from regforest.report.preview import write_preview
from regforest.report.small_volume import small_volume
from regforest.report.svg import picture_svg
from regforest.report.tables import Table

__all__ = [
    "Card",
    "CasePicture",
    "Masks",
    "PageRoom",
    "Table",
    "case_picture",
    "picture_png",
    "picture_svg",
    "small_volume",
    "write_page",
    "write_preview",
]
