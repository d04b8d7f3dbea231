"""The fully connected VAE of graphs/vox/fc.graph as a PyTorch training step (forward, backward, Adam), timed.

    bench/peers/tuned fc_vae.py [THREADS [STEPS]] [bf16]

bf16: the model under autocast. bench/peers/tuned sets up the libraries at their best; prints one JSON line:
minimum and median milliseconds a step, and seconds from the start of the process to the end of the first step."""
import time
t_start = time.perf_counter()
import json, resource, statistics, sys
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
bf16 = "bf16" in sys.argv
numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
torch.set_num_threads(numbers[0] if numbers else 2)
B, L = 64, 2


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Sequential(nn.Linear(1331, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU())
        self.mu, self.logvar = nn.Linear(256, L), nn.Linear(256, L)
        self.d = nn.Sequential(nn.Linear(L, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 1331))

    def forward(self, x):
        h = self.e(x)
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        return torch.sigmoid(self.d(z)), mu, logvar


net = Vae()
assert sum(p.numel() for p in net.parameters()) == 1629495
adam = torch.optim.Adam(net.parameters(), lr=1e-3)
grid = torch.randint(0, 5, (B, 1331)).float()


def step():
    adam.zero_grad(set_to_none=True)
    x = grid / 4
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        y, mu, logvar = net(x)
    y, mu, logvar = y.float(), mu.float(), logvar.float()
    loss = F.mse_loss(y, x) + 0.1 * (-0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)).mean()
    loss.backward()
    adam.step()


step()
first = time.perf_counter() - t_start
times = []
for _ in range(numbers[1] if len(numbers) > 1 else 300):
    t = time.perf_counter()
    step()
    times.append((time.perf_counter() - t) * 1e3)
print(json.dumps({"what": "fc_vae torch" + (" bf16" if bf16 else ""), "min_ms": min(times),
                  "median_ms": statistics.median(times),
                  "first_step_s": first, "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
