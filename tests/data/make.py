"""Writes the small files that the tests of the readers read; numpy, h5py and Pillow are writers independent of ours.
Run it in this folder with Debian's /usr/bin/python3 (python3-numpy, python3-h5py, python3-pil)."""
import gzip
import json
import os

import h5py
import numpy as np
from PIL import Image

x = np.arange(24, dtype="<f4").reshape(4, 3, 2) / 4
label = np.array([3, 1, 4, 1], dtype="u1")
np.savez("stored.npz", x=x, label=label, words=np.array(["a", "b", "c", "d"]))
np.savez_compressed("deflated.npz", x=x, label=label, one=np.float32(7))

# A drive of fourteen frames: ten full cells that stay, and one more in the last two frames.
drive = np.zeros((14, 20, 20, 12), "u1")
drive[:, :10, 0, 0] = drive[12:, 5, 5, 5] = 1
np.savez_compressed("drive.npz", occupancy=drive)

np.save("x.npy", x)
for name, opener in ("x.idx", open), ("x.idx.gz", lambda n, m: gzip.GzipFile(n, m, mtime=0)):
    with opener(name, "wb") as f:
        f.write(bytes([0, 0, 0x0D, 3]) + np.array(x.shape, dtype=">u4").tobytes() + x.astype(">f4").tobytes())
head = json.dumps({"x": {"dtype": "F32", "shape": list(x.shape), "data_offsets": [0, 96]},
                   "label": {"dtype": "U8", "shape": [4], "data_offsets": [96, 100]}}).encode()
with open("x.safetensors", "wb") as f:
    f.write(len(head).to_bytes(8, "little") + head + x.tobytes() + label.tobytes())

with h5py.File("plain.h5", "w") as f:
    f["x"] = x
    f["label"] = label
    f["group/deep"] = np.arange(4, dtype="<i8") * 10
    f["flag"] = np.array([True, False, False, True])
    f["half"] = np.array([0.5, 1, 2, -3], dtype="<f2")
    f["big"] = np.array([1.5, 2.5, 3.5, 4.5], dtype=">f8")
    f["huge"] = np.array([1, 2, 3, 2**64 - 1], dtype="<u8")
    f["word"] = [b"a", b"b", b"c", b"d"]
with h5py.File("chunked.h5", "w") as f:
    wide = (np.arange(1000 * 40, dtype="<i4") % 97).reshape(1000, 40)
    f.create_dataset("x", data=wide, chunks=(64, 7), compression="gzip", shuffle=True, fletcher32=True)
    f.create_dataset("slab", data=np.repeat(np.arange(600, dtype="<u2"), 1000).reshape(600, 1000), chunks=(600, 1000),
                     compression="gzip")
    f.create_dataset("empty", shape=(10**15,), dtype="u1", chunks=(1024,))

for folder, values in ("photos/ant", (10, 20)), ("photos/bee", (30,)):
    os.makedirs(folder, exist_ok=True)
    for v in values:
        Image.fromarray(np.arange(6, dtype="u1").reshape(2, 3) + v).save(f"{folder}/{v}.png")
rgb = np.arange(24, dtype="u1").reshape(2, 4, 3)
Image.fromarray(rgb).save("rgb.png")
Image.fromarray(rgb).convert("P").save("palette.png")
Image.fromarray((np.arange(6).reshape(2, 3) * 9000).astype("uint16")).save("deep.png")
Image.fromarray(np.full((8, 8), 90, dtype="u1")).save("grey.jpg", quality=100)
Image.fromarray(np.full((8, 8, 3), (250, 250, 250), dtype="u1")).save("rgb.jpg", quality=100)

with gzip.GzipFile("table.csv.gz", "wb", mtime=0) as f:
    f.write(b"id,x,y\r\n1,0.5,2\r\n2,-1e3,3\r\n")

with open("houses.csv", "w") as f:
    f.write('"price",rooms,area,"street, number"\n')
    for i in range(10):
        f.write(f'{2 * i + 1.5},{i % 4 + 1},{10 * i + 20},"Long ""Way"", {i}"\n')
for k in 1, 2:
    with open(f"voxels{k}.csv", "w") as f:
        for i in range(3):
            f.write(f"robot{k}{i},{k}," + ",".join(str((i * j + k) % 5) for j in range(8)) + "\n")

# Images of 512 splats, a file each, as graphs/splat/files.graph reads them.
splat, channel = np.meshgrid(np.arange(512), np.arange(8), indexing="ij")
for first, (part, images) in zip((0, 8, 16), (("train", 4), ("dev", 2), ("test", 2))):
    os.makedirs("splats/" + part, exist_ok=True)
    for i in range(images):
        gaussians = (splat * 7 + channel * 13 + (first + i) * 5) % 32 / np.float32(32)
        np.savez_compressed("splats/%s/%d.npz" % (part, i), gaussians=gaussians.astype("<f4"))
