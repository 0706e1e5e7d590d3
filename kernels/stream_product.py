"""The matrix of a stream function's least-squares problem times a vector, in one pass, on a GPU."""

import triton
import triton.language as tl


@triton.jit
def potential(Z, p, q, ROWS, COLUMNS, RING: tl.constexpr):  # type: ignore[no-untyped-def]
    """Of unknowns in a frame of one pixel more on each side, of which a ring is 0."""
    row, column = p - RING, q - RING
    inside = (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS)
    return tl.load(Z + row * COLUMNS + column, mask=inside, other=0.0)


@triton.jit
def motion(Z, i, j, HEIGHT, WIDTH, half_y, half_x, ROWS, COLUMNS, RING: tl.constexpr):  # type: ignore[no-untyped-def]
    """Displacement along y and x; outside of the frame that of the nearest pixel, negated at walls where it is 0."""
    row, column = tl.minimum(tl.maximum(i, 0), HEIGHT - 1), tl.minimum(tl.maximum(j, 0), WIDTH - 1)
    right = potential(Z, row + 1, column + 2, ROWS, COLUMNS, RING)
    left = potential(Z, row + 1, column, ROWS, COLUMNS, RING)
    above = potential(Z, row, column + 1, ROWS, COLUMNS, RING)
    below = potential(Z, row + 2, column + 1, ROWS, COLUMNS, RING)
    y, x = (right - left) * half_x, (above - below) * half_y
    if RING > 0:
        beyond = (row != i) | (column != j)
        y, x = tl.where(beyond, -y, y), tl.where(beyond, -x, x)
    return y, x


@triton.jit
def force(Z, A, i, j, HEIGHT, WIDTH, half_y, half_x, stiffness, ROWS, COLUMNS, RING: tl.constexpr):  # type: ignore[no-untyped-def]
    """(A - stiffness lap) d along y and x; 0 outside of the frame."""
    y, x = motion(Z, i, j, HEIGHT, WIDTH, half_y, half_x, ROWS, COLUMNS, RING)
    y_above, x_above = motion(Z, i - 1, j, HEIGHT, WIDTH, half_y, half_x, ROWS, COLUMNS, RING)
    y_below, x_below = motion(Z, i + 1, j, HEIGHT, WIDTH, half_y, half_x, ROWS, COLUMNS, RING)
    y_left, x_left = motion(Z, i, j - 1, HEIGHT, WIDTH, half_y, half_x, ROWS, COLUMNS, RING)
    y_right, x_right = motion(Z, i, j + 1, HEIGHT, WIDTH, half_y, half_x, ROWS, COLUMNS, RING)
    down, across = stiffness * 4 * half_y * half_y, stiffness * 4 * half_x * half_x
    inside = (i >= 0) & (i < HEIGHT) & (j >= 0) & (j < WIDTH)
    at, plane = A + i * WIDTH + j, HEIGHT * WIDTH
    yy = tl.load(at, mask=inside, other=0.0)
    yx = tl.load(at + plane, mask=inside, other=0.0)
    xx = tl.load(at + 2 * plane, mask=inside, other=0.0)
    bent_y = down * (2 * y - y_above - y_below) + across * (2 * y - y_left - y_right)
    bent_x = down * (2 * x - x_above - x_below) + across * (2 * x - x_left - x_right)
    return tl.where(inside, yy * y + yx * x + bent_y, 0.0), tl.where(inside, yx * y + xx * x + bent_x, 0.0)


@triton.jit
def stream_product(Z, A, OUT, NUMBERS, HEIGHT, WIDTH, RING: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """OUT = C^T (A - stiffness lap) C Z of each problem. Grid: (problems, blocks of unknowns).

    Z, OUT ``[N, M]``, A ``[N, 3, H, W]``: yy, yx, xx. NUMBERS: 1/(2 h_y), 1/(2 h_x), stiffness. Nothing is kept between
    pixels: neighbors are computed again, from values that the cache holds.
    """
    problem = tl.program_id(0).to(tl.int64)
    rows, columns = HEIGHT + 2 - 2 * RING, WIDTH + 2 - 2 * RING
    index = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    used = index < rows * columns
    p, q = index // columns + RING, index % columns + RING
    half_y, half_x, stiffness = tl.load(NUMBERS), tl.load(NUMBERS + 1), tl.load(NUMBERS + 2)
    z, a = Z + problem * rows * columns, A + problem * 3 * HEIGHT * WIDTH
    left, _ = force(z, a, p - 1, q - 2, HEIGHT, WIDTH, half_y, half_x, stiffness, rows, columns, RING)
    right, _ = force(z, a, p - 1, q, HEIGHT, WIDTH, half_y, half_x, stiffness, rows, columns, RING)
    _, below = force(z, a, p, q - 1, HEIGHT, WIDTH, half_y, half_x, stiffness, rows, columns, RING)
    _, above = force(z, a, p - 2, q - 1, HEIGHT, WIDTH, half_y, half_x, stiffness, rows, columns, RING)
    value = (left - right) * half_x + (below - above) * half_y
    tl.store(OUT + problem * rows * columns + index, value, mask=used)
