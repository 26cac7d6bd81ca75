"""Class activation maps, the mask of important pixels, and how well a map finds the object."""

from __future__ import annotations

from partlib.cam.alignment import alignment
from partlib.cam.maps import cam, grad_cam, layer_cam, xgrad_cam
from partlib.cam.masks import important, jet

__all__ = ["CAMS", "alignment", "cam", "grad_cam", "important", "jet", "layer_cam", "xgrad_cam"]

CAMS = {"cam": cam, "grad_cam": grad_cam, "xgrad_cam": xgrad_cam, "layer_cam": layer_cam}
"""The class activation maps by name, as `partlib.methods.part` takes them."""
