"""Round bright objects of a frame, such as nuclei, told apart by their shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from physgen.measure.cells import Labels, Movie

#: blur of a frame and of distances to the edge, and reach of the local mean, in radii of an object
BLUR, EVEN, LOCAL = 0.15, 0.1, 3.0
#: part of the way from the background to the threshold of Otsu above which a pixel is bright: dim objects are objects
PART = 0.5
#: how far the middle of an object is from its edge, beyond the neck to the next one, in radii
NECK = 0.1
#: objects smaller than this part of a disc of the typical radius are none
SMALLEST = 0.2


def segment_nuclei(frame: Movie, radius: float) -> Labels:
    """Objects of a frame ``[H, W]`` that are about so large in pixels, numbered from 1; 0 is what is around them.

    Bright pixels are above half of Otsu's threshold, counted from the background, and above the mean around them. They
    are divided at their necks: by a watershed of the distance to the edge.

    Source: threshold, Otsu (1979), IEEE Trans. Syst. Man Cybern. 9:62; division, Vincent and Soille (1991), IEEE Trans.
        Pattern Anal. 13:583, from maxima that stand out, Vincent (1993), IEEE Trans. Image Process. 2:176.

    >>> y, x = np.mgrid[:40, :40]
    >>> bright, dim = np.hypot(y - 20, x - 12) < 8, np.hypot(y - 20, x - 27) < 8
    >>> int(segment_nuclei(np.maximum(1.0 * bright, 0.5 * dim), radius=8.0).max())
    2
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter
    from skimage.filters import threshold_otsu
    from skimage.measure import label
    from skimage.morphology import h_maxima
    from skimage.segmentation import relabel_sequential, watershed

    blurred = gaussian_filter(frame, BLUR * radius)
    if blurred.min() == blurred.max():
        return np.zeros(frame.shape, dtype=np.int64)
    otsu = float(threshold_otsu(blurred))
    background = float(np.median(blurred[blurred <= otsu]))
    least = np.maximum(background + PART * (otsu - background), gaussian_filter(frame, LOCAL * radius))
    bright: npt.NDArray[np.bool_] = binary_fill_holes(blurred > least)
    inside = gaussian_filter(distance_transform_edt(bright), EVEN * radius)
    seeds = label(h_maxima(inside, NECK * radius) * bright)
    labels = watershed(-inside, seeds, mask=bright)
    labels[np.bincount(labels.ravel())[labels] < SMALLEST * np.pi * radius**2] = 0
    return relabel_sequential(labels)[0].astype(np.int64)
