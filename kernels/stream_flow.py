"""Conjugate gradients for the stream function of a flow, on a CPU. Imports numba: to be imported when it is needed."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from physgen.kernels.compiled import njit

#: walls as the kernel knows them
FREE, NO_SLIP, PERIODIC = 0, 1, 2
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def product(z, tensor, stiffness, h_y, h_x, walls, psi, d, force, out):
    """Fill out = C^T (A - stiffness lap) C z of one problem: C z are displacements, A a tensor at every pixel.

    z ``[M]``, tensor ``[3, H, W]`` (yy, yx, xx). Scratch: psi ``[H+2, W+2]``, d ``[2, H+2, W+2]``, and force
    ``[2, H+4, W+4]``, whose ring of two is 0.
    """
    height, width = tensor.shape[1:]
    ring = 2 if walls == NO_SLIP else 0
    rows, columns = (height, width) if walls == PERIODIC else (height + 2 - 2 * ring, width + 2 - 2 * ring)
    body = z[: rows * columns].reshape(rows, columns)
    drift_y, drift_x = z[0] * 0, z[0] * 0
    if walls == PERIODIC:
        psi[1:-1, 1:-1] = body
        wrap(psi, 1)
        drift_y, drift_x = z[-2], z[-1]
    else:
        psi[ring : ring + rows, ring : ring + columns] = body

    d_y, d_x = d[0], d[1]
    half_y, half_x = 1 / (2 * h_y), 1 / (2 * h_x)
    for i in range(height):
        middle, above, below, y, x = psi[i + 1], psi[i], psi[i + 2], d_y[i + 1], d_x[i + 1]
        for j in range(width):
            y[j + 1] = (middle[j + 2] - middle[j]) * half_x + drift_y
            x[j + 1] = (above[j + 1] - below[j + 1]) * half_y + drift_x
    for part in range(2):
        ghosts(d[part], walls)

    square_y, square_x = stiffness / (h_y * h_y), stiffness / (h_x * h_x)
    force_y, force_x = force[0], force[1]
    for i in range(height):
        yy, yx, xx = tensor[0, i], tensor[1, i], tensor[2, i]
        y, y_above, y_below, to_y = d_y[i + 1], d_y[i], d_y[i + 2], force_y[i + 2]
        x, x_above, x_below, to_x = d_x[i + 1], d_x[i], d_x[i + 2], force_x[i + 2]
        for j in range(width):
            here_y, here_x = y[j + 1], x[j + 1]
            bent_y = square_y * (2 * here_y - y_above[j + 1] - y_below[j + 1]) + square_x * (
                2 * here_y - y[j] - y[j + 2]
            )
            bent_x = square_y * (2 * here_x - x_above[j + 1] - x_below[j + 1]) + square_x * (
                2 * here_x - x[j] - x[j + 2]
            )
            to_y[j + 2] = yy[j] * here_y + yx[j] * here_x + bent_y
            to_x[j + 2] = yx[j] * here_y + xx[j] * here_x + bent_x
    if walls == PERIODIC:
        out[-2] = force_y[2:-2, 2:-2].sum()
        out[-1] = force_x[2:-2, 2:-2].sum()
        for part in range(2):
            wrap(force[part], 2)

    first = 1 if walls == PERIODIC else ring
    result = out[: rows * columns].reshape(rows, columns)
    for i in range(rows):
        p = i + first
        to_y, above, below, to = force_y[p + 1], force_x[p], force_x[p + 2], result[i]
        for j in range(columns):
            q = j + first
            to[j] = (to_y[q] - to_y[q + 2]) * half_x + (below[q + 1] - above[q + 1]) * half_y


@njit(nogil=True, error_model="numpy")
@no_type_check
def wrap(f, ring):
    """Cells around ``f`` from its far ends."""
    for k in range(ring):
        f[k, :] = f[f.shape[0] - 2 * ring + k, :]
        f[f.shape[0] - ring + k, :] = f[ring + k, :]
    for k in range(ring):
        f[:, k] = f[:, f.shape[1] - 2 * ring + k]
        f[:, f.shape[1] - ring + k] = f[:, ring + k]


@njit(nogil=True, error_model="numpy")
@no_type_check
def ghosts(f, walls):
    """Cells around ``f`` as the Laplacian has them at walls: mirrored, negated, or from the far ends."""
    if walls == PERIODIC:
        wrap(f, 1)
        return
    sign = -1 if walls == NO_SLIP else 1
    f[0, :] = sign * f[1, :]
    f[-1, :] = sign * f[-2, :]
    f[:, 0] = sign * f[:, 1]
    f[:, -1] = sign * f[:, -2]


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def halves(x, folded):
    """Sums, then differences, of rows and their mirror images; ``folded`` ``[N, M]``."""
    count = x.shape[0]
    even = (count + 1) // 2
    for i in range(count // 2):
        first, last, sums, differences = x[i], x[count - 1 - i], folded[i], folded[even + i]
        for j in range(x.shape[1]):
            sums[j] = first[j] + last[j]
            differences[j] = first[j] - last[j]
    if count % 2:
        folded[even - 1, :] = x[even - 1]


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def unfolded(folded, x):
    """The transpose of `halves`."""
    count = x.shape[0]
    even = (count + 1) // 2
    for i in range(count // 2):
        first, last, sums, differences = x[i], x[count - 1 - i], folded[i], folded[even + i]
        for j in range(x.shape[1]):
            first[j] = sums[j] + differences[j]
            last[j] = sums[j] - differences[j]
    if count % 2:
        x[even - 1, :] = folded[even - 1]


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def smoothed(x, bases, part, rows, folded, left, right, out):
    """Fill out = Y X (part * X^T Y^T x) of fields ``[h, w]``: Y, X modes of the axes, even ones first, then odd.

    bases: even and odd modes, their first half of cells, and their transposes, of y and then of x; part: of even and
    odd modes along x. Scratch: rows and folded ``[h, w]``, left and right as part.
    """
    up_even, up_odd, down_even, down_odd, along_even, along_odd, across_even, across_odd = bases
    height, width = x.shape
    tall, wide = (height + 1) // 2, (width + 1) // 2
    halves(x, folded)
    np.dot(up_even, folded[:tall], rows[:tall])
    np.dot(up_odd, folded[tall:], rows[tall:])
    for i in range(height):
        row, sums, differences = rows[i], left[0][i], right[0][i]
        for j in range(width // 2):
            sums[j] = row[j] + row[width - 1 - j]
            differences[j] = row[j] - row[width - 1 - j]
        if width % 2:
            sums[wide - 1] = row[wide - 1]
    np.dot(left[0], along_even, left[1])
    np.dot(right[0], along_odd, right[1])
    left[1] *= part[0]
    right[1] *= part[1]
    np.dot(left[1], across_even, left[0])
    np.dot(right[1], across_odd, right[0])
    for i in range(height):
        row, sums, differences = folded[i], left[0][i], right[0][i]
        for j in range(width // 2):
            row[j] = sums[j] + differences[j]
            row[width - 1 - j] = sums[j] - differences[j]
        if width % 2:
            row[wide - 1] = sums[wide - 1]
    np.dot(down_even, folded[:tall], rows[:tall])
    np.dot(down_odd, folded[tall:], rows[tall:])
    unfolded(rows, out)


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def dot(a, b):
    """Their product, summed in float64."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def step(x, size, y):
    """Add size y to x."""
    for i in range(len(x)):
        x[i] += size * y[i]


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def along(x, size, y):
    """Replace x by size x + y."""
    for i in range(len(x)):
        x[i] = size * x[i] + y[i]


@njit(nogil=True, error_model="numpy", fastmath=FAST)
@no_type_check
def conjugate_gradients(
    found, right, tensors, bases, parts, drifts, stiffness, h_y, h_x, walls, products, reduction, start, stop
):
    """Problems start to stop of found, right ``[N, M]``: C^T (A - stiffness lap) C found = right, nearly.

    tensors ``[N, 3, H, W]``; parts: of each problem, of even and odd modes along x; drifts ``[N]``: their part. Ends
    where the norm of the residual, as the modes see it, is ``reduction`` of what it was, or after so many products.
    """
    height, width = tensors.shape[2:]
    rows, columns = parts[0].shape[1], parts[0].shape[2] + parts[1].shape[2]
    count = rows * columns
    psi, d = np.zeros((height + 2, width + 2), right.dtype), np.zeros((2, height + 2, width + 2), right.dtype)
    force = np.zeros((2, height + 4, width + 4), right.dtype)
    one, two = np.empty((rows, columns), right.dtype), np.empty((rows, columns), right.dtype)
    left = np.empty((2, rows, parts[0].shape[2]), right.dtype)
    other = np.empty((2, rows, parts[1].shape[2]), right.dtype)
    vectors = np.empty((4, right.shape[1]), right.dtype)
    y, direction, image, residual = vectors[0], vectors[1], vectors[2], vectors[3]
    length = np.empty(1, right.dtype)
    for n in range(start, stop):
        x, part = found[n], (parts[0][n], parts[1][n])
        x[:] = 0
        residual[:] = right[n]
        size = enough = 0.0
        for k in range(products + 1):
            smoothed(
                residual[:count].reshape(rows, columns),
                bases,
                part,
                one,
                two,
                left,
                other,
                y[:count].reshape(rows, columns),
            )
            y[count:] = residual[count:] * drifts[n]
            new = dot(residual, y)
            length[0] = new / size if k > 0 else 0
            size = new
            if k == 0:
                enough = reduction * reduction * new
                direction[:] = y
            else:
                along(direction, length[0], y)
            if k == products or not (size > enough and size > 0):
                break
            product(direction, tensors[n], stiffness, h_y, h_x, walls, psi, d, force, image)
            curvature = dot(direction, image)
            if not curvature > 0:
                break
            length[0] = size / curvature
            step(x, length[0], direction)
            step(residual, -length[0], image)
