"""What ``regforest inspect`` tells of one image: a row of a data set, or of a DICOM study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regforest.datasets import Case
    from regforest.io.dicom import DicomStack
    from regforest.spatial import Grid

__all__ = ["case_row", "geometry", "row_text", "stack_row"]


def case_row(case: Case) -> dict[str, Any]:
    """Describe a case; where the tags of DICOM tell everything, no pixel is read."""
    from regforest.datasets.annotation_checks import spine_remarks
    from regforest.datasets.lumbar_mri import LumbarMriCase
    from regforest.spatial import AnnotatedScan, Landmarks

    head = {"case": case.name, "patient": case.patient}
    if isinstance(case, LumbarMriCase):
        return head | {"channels": list(case.image_files), **stack_row(case.stack), "levels": [], "info": {}}
    annotated = case.annotation_file is not None
    # an image that nobody annotated is looked at all the same
    scan = case.load() if annotated else AnnotatedScan(case.name, case.patient, case.read_channels(), Landmarks({}))
    return head | {
        "channels": list(scan.channels),
        **geometry(scan.image.grid),
        "levels": list(scan.landmarks),
        "info": dict(case.info),
        "remarks": [*scan.notes, *spine_remarks(scan.landmarks)],
    }


def stack_row(stack: DicomStack) -> dict[str, Any]:
    """Describe a stack of DICOM slices."""
    return {
        "series_uid": stack.tags.series_uid,
        "series": stack.tags.description,
        "kind": [*stack.words, *(["localizer"] if stack.tags.is_localizer else [])],
        **geometry(stack.grid),
        "remarks": list(stack.notes),
    }


def geometry(grid: Grid) -> dict[str, Any]:
    """Size and place of a grid, rounded for people."""
    return {
        "size": list(grid.size_xyz),
        "spacing_mm": [round(float(x), 4) for x in grid.spacing_mm],
        "origin_mm": [round(float(x), 3) for x in grid.origin_mm],
        "axes": grid.axis_code,
        "orthogonal": grid.is_orthogonal,
    }


def row_text(row: Mapping[str, Any]) -> str:
    """One line for people, and one for each fact of the data set's table and each remark."""
    name = f"{row['case']} ({row['patient']})" if "case" in row else f"{row['series_uid']} ({row['series']})"
    size, spacing = (" x ".join(map(str, row[key])) for key in ("size", "spacing_mm"))
    levels = row.get("levels", [])
    extent = [f"{len(levels)} levels {levels[0]}-{levels[-1]}" if levels else "no levels"] if "levels" in row else []
    facts = [f"{size} voxels of {spacing} mm", row["axes"], *([" ".join(row["kind"])] if "kind" in row else extent)]
    info = [f"  {column}: {text}" for column, text in row.get("info", {}).items()]
    return "\n".join([f"{name}: {', '.join(facts)}", *info, *(f"  ! {remark}" for remark in row["remarks"])])
