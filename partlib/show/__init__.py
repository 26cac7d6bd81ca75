"""The book's figures, tables and sentences: alt text always, exact pixels, one palette.

Each ``draw_NAME(..., alt=)`` returns a :class:`Picture`, as :mod:`partlib.interact` needs it; its
twin ``NAME`` takes the same arguments, displays that picture and returns None. A picture is a PNG
on white without a time stamp: the same input gives the same bytes on the same machine, and each
pixel of an image becomes a block of equal pixels.
"""

from partlib.show.charts import curve, draw_curve, draw_history, draw_surface, history, surface
from partlib.show.groups import bars, draw_bars, draw_points, points
from partlib.show.panels import attack, draw_attack, draw_images, draw_overlay, images, overlay
from partlib.show.picture import PALETTE, Picture
from partlib.show.tradeoff import draw_plane, plane
from partlib.show.words import over_255, say, table, verdicts

__all__ = [
    "PALETTE",
    "Picture",
    "attack",
    "bars",
    "curve",
    "draw_attack",
    "draw_bars",
    "draw_curve",
    "draw_history",
    "draw_images",
    "draw_overlay",
    "draw_plane",
    "draw_points",
    "draw_surface",
    "history",
    "images",
    "over_255",
    "overlay",
    "plane",
    "points",
    "say",
    "surface",
    "table",
    "verdicts",
]
