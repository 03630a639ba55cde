"""Landmark schemes: consistent, and stored whole."""

from __future__ import annotations

import numpy as np
import pytest

from facekp.core.landmarks import IBUG68, IMM58, LandmarkScheme


@pytest.mark.parametrize("scheme", [IMM58, IBUG68], ids=lambda s: s.name)
def test_scheme_is_consistent(scheme: LandmarkScheme) -> None:
    np.testing.assert_array_equal(scheme.flip_indices[scheme.flip_indices], np.arange(scheme.count))
    assert sorted(sum(scheme.parts.values(), ())) == list(range(scheme.count))
    assert sorted(sum(scheme.regions.values(), ())) == list(range(scheme.count))
    assert set(scheme.regions) == {"jaw", "brows", "eyes", "nose", "mouth"}
    right, left = scheme.outer_eye_corners
    assert scheme.flip_indices[right] == left
    assert scheme.flip_indices[scheme.nose] == scheme.nose
