"""A toy spine that both methods of this part are tested on: bright balls in a row."""

import numpy as np

from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume


def toy_scan(seed):
    """L1 to L5 as balls in fat, with a wide sacrum below and a dark lung above."""
    rng = np.random.default_rng(seed)
    grid = Grid.from_parts((64, 30, 30), (4, 4, 4), rng.uniform(-300, 300, 3))
    top = grid.index_to_lps([15, 15, 50])
    spine = Landmarks({f"L{i + 1}": top + [0, -1.0 * i, -35.0 * i] + rng.normal(0, 1, 3) for i in range(5)})
    z, y, x = np.indices(grid.shape_zyx)
    points = grid.index_to_lps(np.stack([x, y, z], axis=-1))
    hu = rng.normal(-100, 20, grid.shape_zyx)
    hu[points[..., 2] > top[2] + 25] -= 700
    hu[points[..., 2] < spine["L5"][2] - 22] += 400
    for centre in spine.values():
        hu[np.linalg.norm((points - centre) / [17, 15, 13], axis=-1) < 1] = 250
    return AnnotatedScan(str(seed), str(seed), {"image": Volume(hu.astype(np.int16), grid)}, spine)


def reordered(volume, axes, flips):
    # new axis i (x, y, z) runs along old axis axes[i], backwards where flips[i] < 0
    old = volume.grid
    step, start = np.zeros((3, 3)), np.zeros(3)
    for i, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        step[axis, i] = flip
        start[axis] = 0 if flip > 0 else old.size_xyz[axis] - 1
    index = np.eye(4)
    index[:3, :3], index[:3, 3] = step, start
    voxels = volume.voxels.transpose([2 - axes[2 - i] for i in range(3)])
    voxels = np.flip(voxels, [2 - i for i in range(3) if flips[i] < 0])
    return Volume(voxels, Grid(voxels.shape, old.matrix @ index))
