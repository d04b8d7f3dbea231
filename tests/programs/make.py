"""Writes files/: a few rows of everything that the programs here read, in the formats they read it in.
Run it in this folder with Debian's /usr/bin/python3 (python3-numpy, python3-h5py, python3-pil)."""
import gzip
import os

import h5py
import numpy as np
from PIL import Image

rng = np.random.default_rng(1)


def folder(name):
    os.makedirs(f"files/{name}", exist_ok=True)
    return f"files/{name}/"


# Robots of at most 8 voxels; one stands there twice, one is empty.
def robots(n):
    grid = np.zeros((n, 1331), dtype="u1")
    for row in grid:
        cells = rng.choice(1331, size=rng.integers(1, 9), replace=False)
        row[cells] = rng.integers(1, 5, size=len(cells))
    return grid


grid = robots(12)
np.savez_compressed(folder("voxels") + "clean.npz", grid=grid)
with open("files/voxels/robots.csv", "w") as f:
    for i, row in enumerate([*grid, grid[3], 0 * grid[0]]):
        f.write(f"robot{i},0," + ",".join(map(str, row)) + "\n")

for part, n in ("train", 8), ("dev", 4):
    x = rng.integers(0, 64, size=(n, 512, 8)).astype("<f4") / 64
    x[:, :, 2:] = (np.arange(512 * 6).reshape(512, 6) % 32) / 32
    np.savez_compressed(folder(f"splats/{part}") + "images.npz", gaussians=x)

# 26 episodes of 2 steps, and one of 75, which is dropped; a bright disc on grey.
steps = 26 * 2 + 75
y, x = np.mgrid[0:224, 0:224]
disc = np.stack([((x - 40 - 3 * t % 140) ** 2 + (y - 112) ** 2 < 400) * 120 + 100 for t in range(steps)]).astype("u1")
with h5py.File(folder("jaco") + "episodes.h5", "w") as f:
    for name, shift in ("front_cam_ob", 0), ("mount_cam_ob", 20):
        camera = np.repeat((disc + shift)[..., None], 3, axis=-1)
        f.create_dataset(name, data=camera, chunks=(16, 224, 224, 3), compression="gzip", compression_opts=9)
    for name, width in ("ee_cartesian_pos_ob", 7), ("ee_cartesian_vel_ob", 6), ("joint_pos_ob", 8):
        f[name] = rng.integers(-8, 8, size=(steps, width)).astype("<f4") / 8
    f["actions"] = np.concatenate([rng.integers(-8, 8, size=(steps, 3)) / 64, (np.arange(steps) % 3)[:, None]],
                                  axis=1).astype("<f4")
    end = np.arange(steps) % 2 == 1
    end[52:] = False
    end[-1] = True
    f["terminals"] = end

for part, n in ("train", 80), ("t10k", 20):
    image = rng.integers(0, 8, size=(n, 7, 7)).repeat(4, axis=1).repeat(4, axis=2).astype("u1") * 32
    for kind, data, head in ("images-idx3", image, [0, 0, 8, 3]), ("labels-idx1", np.arange(n) % 10, [0, 0, 8, 1]):
        with gzip.GzipFile(folder("fashion") + f"{part}-{kind}-ubyte.gz", "wb", mtime=0) as f:
            f.write(bytes(head) + np.array(data.shape, dtype=">u4").tobytes() + data.astype("u1").tobytes())
for k in range(10):
    Image.fromarray(image[k]).save(folder(f"photos/{k}") + "a.png")

with open(folder("books") + "text.txt", "w") as f:
    for i in range(120):
        f.write(f"This is line {i}, and {i} squared is {i * i}.\n")
with open(folder("names") + "names.txt", "w") as f:
    for first in "anna", "bert", "cleo", "dora", "emil", "fred", "gina", "hans", "iris", "jo":
        for last in "", "lein", "mann-und-so":
            f.write(first + last + "\n")
with open(folder("houses") + "houses.csv", "w") as f:
    f.write("price,rooms,area\n")
    for i in range(25):
        f.write(f"{100 + 7 * i + i % 4},{i % 5 + 1},{40 + 6 * i}\n")
