"""Training steps of the studies as PyTorch programs, timed: the models and losses of graphs/vox and graphs/splat.

    bench/peers/tuned studies.py NAME [THREADS [STEPS]] [bf16]        vox_conv, vox_batch_norm, vox_pointnet, splat_conv

With `bf16` the models run under autocast, as `precision bf16` rounds their products; losses stay f32.

bench/peers/tuned sets up the libraries at their best. Prints one JSON line: minimum and median milliseconds a step
(forward, backward, Adam), seconds to the end of the first step, and the most memory."""
import time
t_start = time.perf_counter()
import json, math, resource, statistics, sys
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
bf16 = "bf16" in sys.argv
numbers = [int(a) for a in sys.argv[2:] if a.isdigit()]
torch.set_num_threads(numbers[0] if numbers else 2)


def sample(mu, logvar):
    return mu + torch.exp(logvar / 2) * torch.randn_like(mu)


def kl_each(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp())


def weights(net):
    return sum(p.numel() for p in net.parameters())


# ---- VOX: grids ----
class Grids(nn.Module):
    """Encoder to `flat` numbers of `shape`, two heads, a linear layer back, decoder; the output is in 0..`top`."""

    def __init__(self, encoder, shape, latent, entry, decoder, top):
        super().__init__()
        self.shape, self.top, flat = shape, top, math.prod(shape)
        self.encoder, self.decoder = encoder, decoder
        self.mu, self.logvar = nn.Linear(flat, latent), nn.Linear(flat, latent)
        self.back = nn.Sequential(nn.Linear(latent, flat), *entry(flat))

    def forward(self, grid):
        h = self.encoder(grid.unsqueeze(1)).flatten(1)
        mu, logvar = self.mu(h), self.logvar(h)
        h = self.back(sample(mu, logvar)).unflatten(1, self.shape)
        return self.top * torch.sigmoid(self.decoder(h)).squeeze(1), mu, logvar


def conv_vae():
    c, t, relu = nn.Conv3d, nn.ConvTranspose3d, nn.ReLU
    return Grids(nn.Sequential(c(1, 128, 3, 2, 1), relu(), c(128, 256, 3, 2, 1), relu()), (256, 3, 3, 3), 2,
                 lambda n: [relu()],
                 nn.Sequential(t(256, 128, 3, 2, 1, output_padding=1), relu(), t(128, 1, 3, 2, 1)), 1)


def batch_norm_vae():
    c, t = nn.Conv3d, nn.ConvTranspose3d
    act = lambda n: [nn.BatchNorm3d(n), nn.LeakyReLU(0.1)]
    encoder = nn.Sequential(c(1, 64, 3, 1, 1), *act(64), c(64, 128, 3, 2, 1), *act(128),
                            c(128, 256, 3, 1, 1), *act(256), c(256, 256, 3, 1, 1), *act(256))
    decoder = nn.Sequential(c(256, 256, 3, 1, 1), *act(256), c(256, 128, 3, 1, 1), *act(128),
                            t(128, 64, 3, 2, 1), *act(64), c(64, 1, 3, 1, 1))
    return Grids(encoder, (256, 6, 6, 6), 2, lambda n: [nn.BatchNorm1d(n), nn.LeakyReLU(0.1)], decoder, 4)


def grid_loss(net, grid, label):
    y, mu, logvar = net(grid)
    count = torch.bincount(label.flatten(), minlength=5).float()
    w = 1 / torch.log(count + 1)
    w = torch.where(torch.isfinite(w), w, w[torch.isfinite(w)].max())
    w = w / w.sum()
    fit = (w[label] * (y / net.top - grid / 4)**2).mean()
    return fit + 0.1 * kl_each(mu, logvar).sum(1).mean()


def grids(rows):
    label = torch.zeros(rows, 1331, dtype=torch.long)
    for i in range(rows):
        label[i, torch.randperm(1331)[:7]] = torch.randint(1, 5, (7,))
    label = label.view(rows, 11, 11, 11)
    return label.float(), label


# ---- VOX: sets ----
def tower(widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Conv1d(a, b, 1), nn.BatchNorm1d(b), nn.LeakyReLU()]
    return nn.Sequential(*layers)


def dense(widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.LeakyReLU()]
    return layers


class Rise(nn.Module):
    def __init__(self, widths, out):
        super().__init__()
        layers = []
        for i, (a, b) in enumerate(zip([256] + widths, widths)):
            layers += [nn.ConvTranspose1d(a, b, 2, 1 if i == 0 else 2), nn.BatchNorm1d(b), nn.LeakyReLU()]
        self.up = nn.Sequential(*layers, nn.Conv1d(widths[-1], out, 1))
        self.last = nn.Sequential(nn.Linear(out, out), nn.LeakyReLU())

    def forward(self, h):
        return self.last(self.up(h).transpose(1, 2))


class PointNet(nn.Module):
    def __init__(self, latent):
        super().__init__()
        self.turn = nn.Sequential(*dense([3, 64, 128]), nn.Linear(128, 9))
        self.places, self.kinds = tower([3, 64, 128, 1024]), tower([5, 64, 128, 1024])
        self.join = nn.Sequential(nn.LeakyReLU(), *dense([1024, 512, 256, 128]))
        self.mu, self.logvar = nn.Linear(128, latent), nn.Linear(128, latent)
        self.back = nn.Sequential(*dense([latent, 128, 256]))
        self.rise_places, self.rise_kinds = Rise([512, 1024, 256], 3), Rise([512, 128, 64], 5)
        self.both = nn.Linear(8, 8)

    def forward(self, x, k):
        turn = self.turn(x.mean(1)).view(-1, 3, 3) + torch.eye(3)
        s, q = self.places((x @ turn).transpose(1, 2)), self.kinds(k.transpose(1, 2))
        h = self.join(s.mean(2) + s.amax(2) + q.mean(2))
        mu, logvar = self.mu(h), self.logvar(h)
        h = self.back(sample(mu, logvar)).unsqueeze(2)
        both = self.both(torch.cat([self.rise_places(h), self.rise_kinds(h)], 2))
        return torch.sigmoid(both[..., :3]), both[..., 3:], mu, logvar, turn


def set_loss(net, x, k):
    order = torch.rand(x.shape[:2]).argsort(1).unsqueeze(2)
    x, k = x.gather(1, order.expand_as(x)), k.gather(1, order.expand_as(k))
    r, h, mu, logvar, turn = net(x, k)
    w = F.softmin(100 * torch.cdist(r, x), 2)
    p = w.sum(1)
    p = p / (p.sum(1, keepdim=True) + 1e-8)
    entropy = -(p * torch.log(p + 1e-8)).sum(1)
    coord = ((math.log(8) - entropy)**2 + ((r - w @ x)**2).mean((1, 2))).mean()
    desc = F.cross_entropy(h.flatten(0, 1), (w @ k).argmax(2).flatten())
    kind, cell = h.argmax(2), (11 * r).round().clamp(0, 11)
    same = (cell.unsqueeze(1) == cell.unsqueeze(2)).all(3) & (kind > 0).unsqueeze(1) & (kind > 0).unsqueeze(2)
    same = same & torch.ones(8, 8, dtype=torch.bool).triu(1)
    near = torch.where(same, -torch.log(torch.cdist(r, r) + 1e-8), torch.zeros(()))
    bent = torch.linalg.vector_norm(torch.eye(3) - turn @ turn.transpose(1, 2)) / len(x)
    kl = kl_each(mu, logvar).sum(1).mean()
    return 2.5 * coord + 5 * desc + 0.3 * near.sum((1, 2)).mean() + 0.001 * bent + 0.1 * kl


def sets(rows):
    places, kinds = torch.ones(rows, 8, 3), torch.zeros(rows, 8, dtype=torch.long)
    places[:, :7] = torch.randint(0, 11, (rows, 7, 3)) / 11
    kinds[:, :7] = torch.randint(1, 5, (rows, 7))
    return places, F.one_hot(kinds, 5).float()


# ---- SPLAT ----
class Splats(nn.Module):
    def __init__(self, latent):
        super().__init__()
        bn = lambda c: nn.BatchNorm1d(c, eps=1e-3, momentum=0.01)
        layer = lambda a, b: [nn.Conv1d(a, b, 5, padding=2), bn(b), nn.ELU()]
        self.encoder = nn.Sequential(*layer(8, 32), nn.Dropout(0.1), nn.MaxPool1d(2), *layer(32, 64), nn.Dropout(0.15),
                                     nn.MaxPool1d(2), *layer(64, 128), nn.Dropout(0.2))
        self.bridge = nn.Sequential(nn.Linear(128, 512), nn.ELU(), bn(512), nn.Dropout(0.2))
        self.mu, self.logvar = nn.Linear(512, latent), nn.Linear(512, latent)
        self.back = nn.Sequential(nn.Linear(latent, 512), nn.ELU(), bn(512), nn.Linear(512, 2048), nn.ELU(), bn(2048))
        up = nn.Upsample(scale_factor=2)
        self.decoder = nn.Sequential(*layer(16, 64), up, *layer(64, 32), up, *layer(32, 16), nn.Conv1d(16, 8, 1))

    def forward(self, x):
        h = self.bridge(self.encoder(x.transpose(1, 2)).mean(2))
        mu, logvar = self.mu(h), self.logvar(h)
        h = self.back(sample(mu, logvar)).view(-1, 128, 16).transpose(1, 2)
        return self.decoder(h).transpose(1, 2), mu, logvar


def splat_loss(net, x):
    y, mu, logvar = net(x)
    recon = sum(F.mse_loss(y[..., a:b], x[..., a:b]) for a, b in ((0, 2), (2, 4), (4, 5), (5, 8)))
    return recon + 0.02 * kl_each(mu, logvar).mean()


studies = {
    "vox_conv": (conv_vae, 1825285, grids, 64, grid_loss, dict(lr=1e-3)),
    "vox_batch_norm": (batch_norm_vae, 6255365, grids, 64, grid_loss, dict(lr=1e-3)),
    "vox_pointnet": (lambda: PointNet(16), 3277731, sets, 64, set_loss, dict(lr=1e-4, weight_decay=1e-5)),
    "splat_conv": (lambda: Splats(256), 1588600, lambda n: (torch.randn(n, 512, 8),), 32, splat_loss,
                   dict(lr=1e-3, eps=1e-7)),
}
make, count, data, rows, loss_of, adam_of = studies[sys.argv[1]]
net = make()
assert weights(net) == count, weights(net)
adam = torch.optim.Adam(net.parameters(), **adam_of)
batch = data(rows)


def step():
    adam.zero_grad(set_to_none=True)
    loss_of(net, *batch).backward()
    if sys.argv[1] == "vox_pointnet":
        nn.utils.clip_grad_norm_(net.parameters(), 1)
    adam.step()


if bf16:
    exact = net.forward

    def forward(*x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = exact(*x)
        return y.float() if torch.is_tensor(y) else tuple(part.float() for part in y)

    net.forward = forward
step()
first = time.perf_counter() - t_start
times = []
for _ in range(numbers[1] if len(numbers) > 1 else 100):
    t = time.perf_counter()
    step()
    times.append((time.perf_counter() - t) * 1e3)
print(json.dumps({"what": sys.argv[1] + " torch" + (" bf16" if bf16 else ""), "min_ms": min(times),
                  "median_ms": statistics.median(times),
                  "first_step_s": first, "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
