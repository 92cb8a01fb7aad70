"""Space: grids, volumes, anatomical levels and landmarks. World frame: LPS millimetres."""

from regforest.spatial.annotated import AnnotatedScan, ScanSize
from regforest.spatial.grid import Grid
from regforest.spatial.hounsfield import hounsfield_doubt
from regforest.spatial.landmarks import Landmarks
from regforest.spatial.level_tables import LEVEL_TABLES, level_table, numbers_in
from regforest.spatial.levels import (
    DISCS,
    LEVELS,
    PAPER_LEVELS,
    REGIONS,
    Level,
    level,
    level_of_number,
    sort_levels,
)
from regforest.spatial.localization import Localization
from regforest.spatial.volume import Volume

__all__ = [
    "DISCS",
    "LEVELS",
    "LEVEL_TABLES",
    "PAPER_LEVELS",
    "REGIONS",
    "AnnotatedScan",
    "Grid",
    "Landmarks",
    "Level",
    "Localization",
    "ScanSize",
    "Volume",
    "hounsfield_doubt",
    "level",
    "level_of_number",
    "level_table",
    "numbers_in",
    "sort_levels",
]
