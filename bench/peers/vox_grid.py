"""The sweep of graphs/vox/grid.graph as a PyTorch loop: every configuration trained for one epoch and validated.

    bench/peers/tuned vox_grid.py [THREADS [PROCESSES]] [quick]

quick: 12 of the 288. With several processes each takes its share of the configurations, in turns. Prints one JSON line:
seconds of all of them, and of those with batches of 8, added up over configurations."""
import itertools, json, os, sys, time
import torch
from torch import nn
import torch.nn.functional as F

numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
threads, processes = (numbers + [2, 1][len(numbers):])[:2]
quick = "quick" in sys.argv
torch.set_num_threads(threads)
TRAIN, VAL = 2752, 393


def grids(rows):
    label = torch.zeros(rows, 1331, dtype=torch.long)
    for i in range(rows):
        label[i, torch.randperm(1331)[:7]] = torch.randint(1, 5, (7,))
    return label


class Vae(nn.Module):
    def __init__(self, latent):
        super().__init__()
        self.e = nn.Sequential(nn.Linear(1331, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU())
        self.mu, self.logvar = nn.Linear(256, latent), nn.Linear(256, latent)
        self.d = nn.Sequential(nn.Linear(latent, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 1331))

    def forward(self, x):
        h = self.e(x)
        mu, logvar = self.mu(h), self.logvar(h)
        return torch.sigmoid(self.d(mu + torch.exp(logvar / 2) * torch.randn_like(mu))), mu, logvar


def losses(net, label, recon, beta):
    x = label.float()
    y, mu, logvar = net(x)
    count = torch.bincount(label.flatten(), minlength=5).float()
    w = 1 / torch.log(count + 1)
    w = torch.where(torch.isfinite(w), w, w[torch.isfinite(w)].max())
    w = w / w.sum()
    x = x / 4
    each = (y - x)**2 if recon == "mse" else F.binary_cross_entropy(y, x, reduction="none")
    fit = (w[label] * each).mean()
    return fit + beta * -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean(), y


def table(y, label):
    said = (4 * y).round().clamp(0, 4).long()
    return torch.bincount((said * 5 + label).flatten(), minlength=25)


def optimizer(net, how, lr, decay):
    if how == "adam":
        return torch.optim.Adam(net.parameters(), lr=lr, weight_decay=decay, foreach=True)
    if how == "sgd":
        return torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=decay, foreach=True)
    return torch.optim.RMSprop(net.parameters(), lr=lr, momentum=0.9, weight_decay=decay, foreach=True)


def train(data, batch, latent, recon, how, lr, decay, beta):
    torch.manual_seed(1)
    net = Vae(latent)
    opt = optimizer(net, how, lr, decay)
    sums = torch.zeros(25, dtype=torch.long)
    for rows in torch.randperm(TRAIN).split(batch):
        label = data[0][rows]
        opt.zero_grad(set_to_none=True)
        loss, y = losses(net, label, recon, beta)
        loss.backward()
        opt.step()
        with torch.no_grad():                                # what the sweep's file measures
            sums += table(y, label)
    total, sums = 0, sums * 0
    with torch.no_grad():
        for label in data[1].split(batch):
            loss, y = losses(net, label, recon, beta)
            total += loss.item() * len(label) / VAL
            sums += table(y, label)
    return total


few = lambda *values: values[:1] if quick else values
configurations = list(itertools.product([8, 64], few(2, 4, 8), ["mse", "bce"], ["adam", "sgd", "rmsprop"],
                                        few(1e-3, 1e-4), few(0, 1e-4), few(0.1, 1)))
start = time.perf_counter()
ends = []
for k in range(processes):
    read, write = os.pipe()
    if os.fork() == 0:
        small, data = 0, (grids(TRAIN), grids(VAL))          # nothing of torch has run before the fork
        for c in configurations[k::processes]:
            t = time.perf_counter()
            train(data, *c)
            small += (time.perf_counter() - t) * (c[0] == 8)
        os.write(write, json.dumps(small).encode())
        os._exit(0)
    os.close(write)
    ends.append(read)
small = sum(json.loads(os.read(r, 100)) for r in ends)
print(json.dumps({"what": "vox grid torch", "configurations": len(configurations), "threads": threads,
                  "processes": processes, "seconds": time.perf_counter() - start, "batch_8_s": small / processes}))
