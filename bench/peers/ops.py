"""Single operations of bench/ops in PyTorch, forward and backward, timed; one JSON line each (minimum and median ms).

Run it through bench/peers/tuned.  Argument: threads (2)."""
import json, statistics, sys, time
import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)


def timed(name, step, rounds):
    step()
    times = []
    for _ in range(rounds):
        t = time.perf_counter()
        step()
        times.append((time.perf_counter() - t) * 1e3)
    print(json.dumps({"what": name, "min_ms": min(times), "median_ms": statistics.median(times)}), flush=True)


def backward(f, *inputs):
    dy = torch.randn_like(f(*inputs))

    def step():
        for x in inputs:
            x.grad = None
        f(*inputs).backward(dy)

    return step


big = torch.randn(4096, 4096, requires_grad=True)
rows = torch.randn(4096, 1024, requires_grad=True)
gain, bias = torch.ones(1024, requires_grad=True), torch.zeros(1024, requires_grad=True)
logits = torch.randn(4096, 10000, requires_grad=True)
label = torch.randint(0, 10000, (4096,))
timed("softmax", backward(lambda x: torch.softmax(x, 1), big), 10)
timed("layernorm", backward(lambda x, g, b: F.layer_norm(x, (1024,), g, b), rows, gain, bias), 20)
timed("gelu", backward(lambda x: F.gelu(x) * torch.sigmoid(x), big), 10)
timed("cross_entropy", backward(lambda x: F.cross_entropy(x, label), logits), 10)
p = torch.zeros(10_000_000, requires_grad=True)
p.grad = torch.randn_like(p)
adam = torch.optim.Adam([p], lr=1e-3)
timed("adam", adam.step, 10)
for m, k, n in ((64, 1331, 512), (544, 512, 512), (1024, 1024, 1024)):
    x, w, b = torch.randn(m, k), torch.randn(n, k), torch.randn(n)
    with torch.no_grad():
        timed(f"dense {m}x{k}x{n}", lambda: torch.relu(F.linear(x, w, b)), 100)
x, w, dy = torch.randn(64, 128, 6, 6, 6), torch.randn(256, 128, 3, 3, 3), torch.randn(64, 256, 6, 6, 6)
with torch.no_grad():
    timed("conv3d forward", lambda: F.conv3d(x, w, padding=1), 20)
    for name, mask in (("of_x", [True, False, False]), ("of_w", [False, True, False])):
        timed(f"conv3d {name}", lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [1, 1, 1], [1, 1, 1], [1, 1, 1], False, [0, 0, 0], 1, mask), 20)
