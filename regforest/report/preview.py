"""What `regforest label --preview` leaves beside a result: a picture, and a page with the picture and all numbers."""

from __future__ import annotations

from pathlib import Path

from regforest._version import __version__
from regforest.io._atomic import staged
from regforest.report.curved import Masks
from regforest.report.notebook import levels_table, verdict
from regforest.report.page import write_plain_page
from regforest.report.picture import SURE, case_picture
from regforest.report.png import picture_png
from regforest.report.svg import picture_svg
from regforest.spatial import Localization, Volume

__all__ = ["write_preview"]

_LEGEND = (
    "Cut along the curve of the spine; A front, P back, R and L the patient's right and left. "
    f"Hollow dots: the name of the level is less than {100 * SURE:.0f} % probable. "
    f"Labelled by regforest {__version__}; not for clinical use."
)


def write_preview(
    volume: Volume, found: Localization, target: str | Path, name: str, masks: Masks | None = None
) -> None:
    """Write ``<target>.png`` and ``<target>.html``: located levels on the spine, and the verdict on them.

    Parameters
    ----------
    volume : Volume
        The image.
    found : Localization
        Its levels.
    target : str or Path
        Path of both files without their suffixes.
    name : str
        Of the case, for the heading.
    masks : Masks, optional
        Segmentation, shown as outlines.

    Raises
    ------
    FileError
        If a file cannot be written.
    """
    picture = case_picture(volume, found, predicted_masks=masks)
    with staged(Path(f"{target}.png")) as file:
        file.write_bytes(picture_png(picture, verdict(found)))
    svg = picture_svg(picture, f"labelled spine of {name}: {', '.join(found.landmarks) or 'no levels'}", 200_000)
    sections = [
        f'<section><div class="picture large">{svg}</div><p class=note>{_LEGEND}</p></section>',
        f"<section><h2>Levels</h2><div class=scroll>{levels_table(found)}</div></section>",
    ]
    write_plain_page(Path(f"{target}.html"), name, lead=verdict(found), sections=sections)
