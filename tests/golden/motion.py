#!/usr/bin/python3
"""Numbers of PyTorch for tests/graphs_motion_step_test.c: one step of each model and loss of graphs/dots, graphs/arm
and graphs/occ, built here of torch.nn modules from the description of the studies.

    /usr/bin/python3 tests/golden/motion.py        # writes motion.json

Made with PyTorch 1.13.0 (Debian python3-torch), one thread, float64.  Nothing is drawn: weights and columns are
multiples of 2^-10 from SplitMix64 streams that begin with the FNV-1a hash of their names, times a power of two near
one over the root of the fan-in.  Noise of the programs comes from the Philox of make.py.

Of a gradient and of a state stand here [sum, sum of magnitudes, largest magnitude, first, middle, last element].
With `updated` there are the weights after the step, too.
A bias before a batch norm has no gradient but roundings: it is stored as 0 and held against the largest of the step.
Tolerances: sums relative to the sum of magnitudes, elements to the largest one,

  f64  1e-6   both sides compute in f64; numbers of the program (0.1, settings) are rounded to f32 where they meet a
              tensor, which is 6e-8 each
  f32  2e-4   batch norm divides by deviations of a batch of 3 to 5 rows, which makes a rounding of 6e-8 some hundred
              times larger, layer by layer; cases of f32 and f64 that disagree by more would show a wrong formula
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from make import normal, uniform

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

TOLERANCE = {"f64": 1e-6, "f32": 2e-4}
M64 = (1 << 64) - 1


# ---- numbers from names ----

def numbers(name, n):
    s = 0xcbf29ce484222325
    for byte in name.encode():
        s = (s ^ byte) * 0x100000001b3 & M64
    out = []
    for _ in range(n):
        s = (s + 0x9e3779b97f4a7c15) & M64
        z = (s ^ s >> 30) * 0xbf58476d1ce4e5b9 & M64
        z = (z ^ z >> 27) * 0x94d049bb133111eb & M64
        out.append((z ^ z >> 31) >> 54)
    return torch.tensor(out)


def shares(name, *shape):
    return ((numbers(name, math.prod(shape)) - 511.5) / 512).reshape(shape)


class Case:
    """Weights by path as they are filled, and what is stored of a step.  `instead` is of the text of the program."""

    def __init__(self, file, run, rows, columns, given=None, instead=None, **settings):
        self.out = {"file": file, "run": run, "rows": rows, "columns": columns, "given": given or {},
                    "instead": instead or {},
                    "settings": {k.replace("__", "."): str(v) for k, v in settings.items()}}
        self.weights, self.norms = {}, {}

    def column(self, name, *shape):
        c = self.out["columns"][name]
        if "below" in c:
            return (numbers(name, math.prod(shape)) % c["below"]).reshape(shape)
        return c.get("at", 0) + c["scale"] * shares(name, *shape)

    def weight(self, path, p, turned=False):
        """The program has weights of `x @ w` as [inputs, outputs]: turned."""
        shape = p.shape[::-1] if turned else p.shape
        n = math.prod(shape)
        fan = n // shape[0] if len(shape) > 2 else shape[0] if len(shape) == 2 else 1
        scale = 1.0 if len(shape) > 1 else 0.125
        covered = 1
        while covered < fan:
            covered, scale = covered * 4, scale / 2
        value = (1 if path.endswith(".gain") else 0) + scale * shares(path, *shape)
        with torch.no_grad():
            p.copy_(value.t() if turned else value)
        self.weights[path] = (p, turned)

    def linear(self, path, m):
        self.weight(path + ".w", m.weight, turned=True)
        if m.bias is not None:
            self.weight(path + ".b", m.bias)
        return m

    def conv(self, path, m):
        self.weight(path + ".w", m.weight)
        if m.bias is not None:
            self.weight(path + ".b", m.bias)
        return m

    def norm(self, path, m):
        self.weight(path + ".gain", m.weight)
        self.weight(path + ".bias", m.bias)
        self.norms[path] = m
        return m

    def cell(self, path, m, layer=""):
        """A GRU or LSTM (cell): input weights are linear1, those of the state linear2."""
        for i, kind in (1, "ih"), (2, "hh"):
            self.weight(f"{path}.linear{i}.w", getattr(m, f"weight_{kind}{layer}"), turned=True)
            self.weight(f"{path}.linear{i}.b", getattr(m, f"bias_{kind}{layer}"))
        return m

    def finish(self, losses, weights=None):
        total = sum((weights or {}).get(k, 1) * v for k, v in losses.items())
        total.backward()
        self.out["losses"] = {k: v.item() for k, v in {**losses, "total": total}.items()}
        gradients = {path: p.grad.t() if turned else p.grad
                     for path, (p, turned) in self.weights.items() if p.grad is not None}
        largest = max(g.abs().max().item() for g in gradients.values())
        self.out["largest"] = largest
        self.out["gradients"] = {path: kept(g) if g.abs().max() > 1e-10 * largest else [0] * 6
                                 for path, g in gradients.items()}
        self.out["states"] = {}
        for path, m in self.norms.items():
            self.out["states"][path + ".m"] = kept(m.running_mean)
            self.out["states"][path + ".v"] = kept(m.running_var)
        return self.out


def kept(t):
    x = t.detach().reshape(-1)
    return [v.item() for v in (x.sum(), x.abs().sum(), x.abs().max(), x[0], x[x.numel() // 2], x[-1])]


# ---- dots ----

E, T, N = 16, 3, 4
SMALL = {"world__E": E, "world__w": 1, "world__T": T}
FRAMES = {"states": {"scale": 1}, "moves": {"scale": 1}, "place": {"scale": 1}}


class MeNet5(nn.Module):
    def __init__(self, c, channels=1):
        super().__init__()
        at, layers, before = "world.see.menet51.", [], channels
        for i, (width, k, stride) in enumerate([(16, 5, 2), (32, 5, 2), (32, 3, 1)], 1):
            layers += [c.conv(f"{at}conv{i}", nn.Conv2d(before, width, k, stride, k // 2)), nn.ReLU(),
                       c.norm(f"{at}batchnorm{i}", nn.BatchNorm2d(width))]
            before = width
        self.net = nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(),
                                 c.linear(at + "linear1", nn.Linear(288, E)))

    def forward(self, states):
        """[N, F, C, 28, 28] to [F, N, E]"""
        x = states.transpose(0, 1)
        return self.net(x.reshape(-1, *x.shape[2:])).reshape(T + 1, -1, E)


def frames(net):
    """A net of single frames on [N, F, C, 28, 28]: to [F, N, E]."""
    def see(states):
        x = states.transpose(0, 1)
        return net(x.reshape(-1, *x.shape[2:])).reshape(T + 1, -1, E)
    return see


def lenet5(c):
    at, layers, before = "world.see.lenet51.", [], 1
    for i, width in enumerate([6, 16]):
        layers += [c.conv(f"{at}conv1[{i}]", nn.Conv2d(before, width, 5)),
                   c.norm(f"{at}batchnorm1[{i}]", nn.BatchNorm2d(width)), nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    return frames(nn.Sequential(*layers, nn.Flatten(), c.linear(at + "linear1", nn.Linear(256, 128)), nn.ReLU(),
                                c.linear(at + "linear2", nn.Linear(128, 128))))


def canonical(c):
    at, layers, before = "world.see.canonical1.", [], 1
    for i, (width, k, stride) in enumerate([(32, 4, 2), (64, 4, 2), (64, 3, 1)], 1):
        layers += [c.conv(f"{at}conv{i}", nn.Conv2d(before, width, k, stride)), nn.ReLU()]
        before = width
    side = int((E / 64) ** 0.5)
    return frames(nn.Sequential(*layers, nn.AdaptiveAvgPool2d((side, side)), nn.Flatten()))


def flat(c):
    at = "world.see.flat1.mlp1.linear1"
    return frames(nn.Sequential(nn.Flatten(), c.linear(at + "[0]", nn.Linear(784, E)), nn.ReLU(),
                                c.linear(at + "[1]", nn.Linear(E, E))))


def pixels(c):
    at, layers, before = "world.see.pixels1.", [], 1
    for name, width, k in ("1", 16, 3), ("2", 32, 5), ("3[0]", 32, 7), ("3[1]", 32, 7):
        layers += [c.conv(f"{at}conv{name}", nn.Conv2d(before, width, k, padding=k // 2)), nn.ReLU(),
                   c.norm(f"{at}batchnorm{name}", nn.BatchNorm2d(width))]
        before = width
    return frames(nn.Sequential(*layers, nn.AdaptiveAvgPool2d((4, 4)), nn.Flatten()))


class Block(nn.Module):
    def __init__(self, c, at, before, width, stride):
        super().__init__()
        pair = [[c.conv(f"{at}.kernel{i}", nn.Conv2d(n, width, k, s, k // 2, bias=False)),
                 c.norm(f"{at}.batchnorm{i}", nn.BatchNorm2d(width))]
                for i, (n, k, s) in enumerate([(before, 3, stride), (width, 3, 1), (before, 1, stride)], 1)
                if i < 3 or before != width or stride > 1]
        self.branch = nn.Sequential(*pair[0], nn.ReLU(), *pair[1])
        self.past = nn.Sequential(*pair[2]) if len(pair) > 2 else nn.Identity()

    def forward(self, x):
        return F.relu(self.branch(x) + self.past(x))


def resnet18(c):
    at, before = "world.see.resnet181.", 64
    layers = [c.conv(at + "kernel1", nn.Conv2d(1, 64, 7, 2, 3, bias=False)), c.norm(at + "batchnorm1", nn.BatchNorm2d(64)),
              nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for i, width in enumerate([64, 128, 256, 512]):
        layers += [Block(c, f"{at}block1[{i}]", before, width, 2 if i else 1),
                   Block(c, f"{at}block2[{i}]", width, width, 1)]
        before = width
    return frames(nn.Sequential(*layers, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()))


def with_net_behind(c):
    at = "world.see.hidden1."
    behind = nn.Sequential(c.linear(at + "linear1[0]", nn.Linear(E, 20)),
                           c.norm(at + "batchnorm1[0]", nn.BatchNorm1d(20)), nn.ReLU(),
                           c.linear("world.see.linear1", nn.Linear(20, E, bias=False)))
    return frames(nn.Sequential(MeNet5(c).net, behind))


def of_size(size, case, *args, steps=T, rows=N, **how):
    """A case whose encodings have another size, perhaps of fewer frames: both interpreters take every step of a sum."""
    global E, T, N
    before = E, T, N
    E, T, N = size, steps, rows
    out = case(*args, **how)
    E, T, N = before
    return out


def gru_predictor(c, layers):
    m = nn.GRU(2, E, layers)
    c.cell("world.foresee.gru_cell1", m, "_l0")
    for i in range(1, layers):
        c.cell(f"world.foresee.gru_cell2[{i - 1}]", m, f"_l{i}")
    return lambda z, a: m(a, z[:1].repeat(layers, 1, 1))[0]


def stepwise_predictor(c, hidden):
    f = nn.Sequential(c.linear("world.foresee.hidden1.linear1[0]", nn.Linear(E + 2, hidden)),
                      c.norm("world.foresee.hidden1.batchnorm1[0]", nn.BatchNorm1d(hidden)), nn.ReLU(),
                      c.linear("world.foresee.linear1", nn.Linear(hidden, E, bias=False)))

    def forward(z, a):
        h, out = z[0], []
        for v in a:
            h = h + f(torch.cat([h, v], 1))
            out.append(h)
        return torch.stack(out)
    return forward


def warmed_predictor(c, burn):
    cell = c.cell("world.foresee.gru_cell3", nn.GRUCell(E + 2, E))
    last = c.linear("world.foresee.linear2", nn.Linear(E, E))

    def forward(z, a):
        h, e, out = torch.zeros_like(z[0]), None, []
        for t, v in enumerate(a):
            h = cell(torch.cat([z[t] if t < burn else e, v], 1), h)
            e = last(h)
            out.append(e)
        return torch.stack(out)
    return forward


def variance(z):
    return F.relu(1 - torch.sqrt(z.var(1) + 1e-4)).mean()


def covariance(z):
    each = [torch.cov(x.t()) for x in z]
    return sum((x ** 2).sum() - (x.diagonal() ** 2).sum() for x in each) / z.shape[2] / len(each)


def scenes(c, channels=1, dots=1):
    return (c.column("states", N, T + 1, channels, 28, 28), c.column("moves", N, T, 2).transpose(0, 1),
            c.column("place", N, T + 1, dots, 2) if "place" in c.out["columns"] else None)


def vicreg(predictor=gru_predictor, how=1, channels=1, projected=False, encoder=None, **more):
    weights = {"invariance": 5, "variance": 3, "covariance": 2, "moves": 1.5}
    settings = {"sim": 5, "std": 3, "cov": 2, "action": 1.5, **SMALL, "world__E": E, "world__T": T, **more}
    if projected:
        weights.update(own_variance=0.5, own_covariance=0.25)
        settings.update(projector="mlp", hidden="[12]", out=10, like="projections", skip_first="no", own_std=0.5,
                        own_cov=0.25)
    c = Case("dots/vicreg.graph", "learn.vicreg", N, {k: FRAMES[k] for k in ("states", "moves")}, **settings)
    states, a, _ = scenes(c, channels)
    see, foresee = encoder(c) if encoder else MeNet5(c, channels), predictor(c, how)
    act = c.linear("world.act_of.linear1", nn.Linear(2 * E, 2))
    z = see(states)
    p = foresee(z, a)
    losses = {"invariance": F.mse_loss(p, z[1:]), "variance": variance(z[1:]), "covariance": covariance(z[1:])}
    if projected:
        project = nn.Sequential(c.linear("project.hidden1.linear1[0]", nn.Linear(E, 12)),
                                c.norm("project.hidden1.batchnorm1[0]", nn.BatchNorm1d(12)), nn.ReLU(),
                                c.linear("project.linear1", nn.Linear(12, 10, bias=False)))
        y, q = (project(x.reshape(-1, E)).reshape(-1, N, 10) for x in (z, p))
        losses = {"invariance": F.mse_loss(q, y[1:]), "variance": variance(y), "covariance": covariance(y),
                  "own_variance": variance(z), "own_covariance": covariance(z)}
    losses["moves"] = F.mse_loss(act(torch.cat([torch.cat([z[:1], p[:-1]]), z[1:]], 2)), a)
    return c.finish(losses, weights)


def decoder():
    """The 6,505 weights that draw a frame from 512 numbers."""
    c = Case("dots/vicreg.graph", "learn.vicreg", N, {k: FRAMES[k] for k in ("states", "moves")},
             sim=5, std=3, cov=2, decoded="yes", picture=0.5, world__w=1, world__T=T)
    states, a, _ = scenes(c)
    see, foresee = MeNet5(c), gru_predictor(c, 1)
    layers, before = [], 32
    for i, width in enumerate([16, 8, 8]):
        layers += [c.conv(f"world.redraw.tconv1[{i}]", nn.ConvTranspose2d(before, width, 3, 2)), nn.ReLU(),
                   c.norm(f"world.redraw.batchnorm1[{i}]", nn.BatchNorm2d(width, momentum=0.01))]
        before = width
    draw = nn.Sequential(*layers, c.conv("world.redraw.conv1", nn.Conv2d(8, 1, 3, padding=1)))
    z = see(states)
    p = foresee(z, a)
    y = F.interpolate(draw(z.reshape(-1, 32, 4, 4)), (28, 28), mode="bilinear")
    there = states.transpose(0, 1).reshape(-1, 1, 28, 28)
    return c.finish({"invariance": F.mse_loss(p, z[1:]), "variance": variance(z[1:]), "covariance": covariance(z[1:]),
                     "redrawn": F.mse_loss(y, there)},
                    {"invariance": 5, "variance": 3, "covariance": 2, "redrawn": 0.5})


def contrastive(among, normalised, encoder=MeNet5, **more):
    c = Case("dots/simclr.graph", "learn.simclr", N, {k: FRAMES[k] for k in ("states", "moves")}, temperature=0.5,
             normalised="yes" if normalised else "no", among=among, **SMALL, **more)
    states, a, _ = scenes(c)
    see, foresee = encoder(c), gru_predictor(c, 1)
    z = see(states)
    p, z, steps = foresee(z, a), z[1:], []
    if normalised:
        p, z = F.normalize(p, dim=2), F.normalize(z, dim=2)
    for x, y in zip(p, z):
        if among == "others":
            s = x @ y.t() / 0.5
            steps.append((F.cross_entropy(s, torch.arange(N)) + F.cross_entropy(s.t(), torch.arange(N))) / 2)
            continue
        f = torch.cat([x, y])
        s = f @ f.t() / 0.5
        off = ~torch.eye(2 * N, dtype=torch.bool)
        positive = s[torch.arange(2 * N), torch.arange(2 * N).roll(N)]
        rows = []
        for i in range(2 * N):
            others = off[i].clone()
            others[(i + N) % (2 * N)] = False
            rows.append(torch.cat([positive[i:i + 1], s[i][others]]))
        steps.append(F.cross_entropy(torch.stack(rows), torch.zeros(2 * N, dtype=torch.long)))
    return c.finish({"nats": sum(steps) / T})


def supervised(channels, dots, kind):
    c = Case("dots/supervised.graph", "train.places", N, FRAMES, world__dots_=kind, **SMALL)
    states, a, place = scenes(c, channels, dots)
    see, foresee = MeNet5(c, channels), gru_predictor(c, 1)
    where = c.linear("world.where_is.linear1", nn.Linear(E, 2 * dots, bias=False))
    z = see(states)
    xy = where(torch.cat([z[:1], foresee(z, a)])).reshape(T + 1, N, dots, 2)
    miss = ((xy - place.transpose(0, 1)) ** 2).sum(-1).mean()
    return c.finish({"miss": miss})


def probe(*hidden):
    """Encoder and predictor as they are, in evaluation mode; only the two probes learn."""
    c = Case("dots/vicreg.graph", "read.probe", N, FRAMES, world__probe_widths=str(list(hidden)), **SMALL)
    states, a, place = scenes(c)
    see, foresee = MeNet5(c).eval(), gru_predictor(c, 1)

    def net(at):
        layers, before = [], E
        for i, width in enumerate(hidden):
            layers += [c.linear(f"{at}.hidden1.linear1[{i}]", nn.Linear(before, width)),
                       c.norm(f"{at}.hidden1.batchnorm1[{i}]", nn.BatchNorm1d(width)), nn.ReLU()]
            before = width
        return nn.Sequential(*layers, c.linear(at + ".linear1", nn.Linear(before, 2, bias=False)))
    where, first = (net("world." + k) for k in ("where_is", "where_first"))
    with torch.no_grad():
        z = see(states)
        p = foresee(z, a)
    place = place[:, :, 0].transpose(0, 1)
    losses = {"miss": ((where(torch.cat([z[:1], p]).reshape(-1, E)).reshape(T + 1, N, 2) - place) ** 2).sum(-1).mean(),
              "miss_first": ((first(z[0]) - place[0]) ** 2).sum(-1).mean()}
    return c.finish(losses)


def rssm(gradient, floor, order="reversed"):
    least, draw = 0.1, {"through": "normal1", "plain": "normal2"}[gradient]
    c = Case("dots/rssm.graph", "train.rssm", N, {k: FRAMES[k] for k in ("states", "moves")}, gradient=gradient,
             free=floor, min_var=least, **({"order": order} if order != "reversed" else {}), **SMALL)
    states, a, _ = scenes(c)
    see = MeNet5(c)
    enter = c.linear("dream.linear1", nn.Linear(E + 2, E))
    cell = c.cell("dream.gru_cell1", nn.GRUCell(E, E))
    prior = [c.linear(f"prior.linear{i}", nn.Linear(E, E)) for i in (1, 2)]
    post = [nn.Sequential(c.linear(f"posterior.mlp{i}.linear1[0]", nn.Linear(2 * E, E)), nn.ReLU(),
                          c.linear(f"posterior.mlp{i}.linear1[1]", nn.Linear(E, E)), nn.ReLU()) for i in (1, 2)]
    first = c.linear("picture.linear1", nn.Linear(2 * E, 576))
    convs = [c.conv(f"picture.conv{i + 1}", nn.Conv2d(*io, k, padding=k // 2, bias=False))
             for i, (io, k) in enumerate([((64, 64), 3), ((64, 32), 5), ((32, 1), 5)])]
    norms = [c.norm(f"picture.batchnorm{i + 1}", nn.BatchNorm2d(n)) for i, n in enumerate([64, 32])]

    def picture(v):
        h = F.relu(first(v)).reshape(-1, 64, 3, 3)
        h = norms[0](F.relu(convs[0](F.interpolate(h, scale_factor=2))))
        h = norms[1](F.relu(convs[1](F.interpolate(h, scale_factor=3))))
        h = convs[2](F.interpolate(h, scale_factor=3))
        return F.interpolate(h, (28, 28), mode="bilinear")[:, 0]

    def sample(d, noise):
        return d.mean + d.stddev * noise if gradient == "through" else (d.mean + d.stddev * noise).detach()
    x = states[:, :, 0].transpose(0, 1)
    z = see(states)
    h, known, beliefs, posteriors = z[0], z[0], [], []
    for t in range(T):
        h = cell(F.relu(enter(torch.cat([known, a[t]], 1))), h)
        both = torch.cat([z[t + 1], h], 1)
        q = torch.distributions.Normal(post[0](both), F.softplus(post[1](both)) + least)
        beliefs.append(h)
        posteriors.append(q)
        known = sample(q, normal(f"rssm.dream1.sample1.{draw}", 0, N, E, iteration=t))
    beliefs = torch.stack(beliefs)
    p = torch.distributions.Normal(F.relu(prior[0](beliefs)), F.softplus(F.relu(prior[1](beliefs))) + least)
    drawn = sample(p, normal(f"rssm.sample1.{draw}", 0, T, N, E))
    y = picture(torch.cat([drawn, beliefs], 2).reshape(-1, 2 * E)).reshape(T, N, 28, 28)
    start = F.mse_loss(picture(torch.cat([z[0], z[0]], 1)), x[0])
    priors = [torch.distributions.Normal(p.mean[t], p.stddev[t]) for t in range(T)]
    pairs = zip(posteriors, priors) if order == "usual" else zip(priors, posteriors)
    kls = [torch.distributions.kl_divergence(a, b).mean() for a, b in pairs]
    losses = {"start": start, "frames": sum(F.mse_loss(y[t], x[t + 1]) for t in range(T)),
              "divergence": sum(k.clamp(min=floor) for k in kls)}
    return c.finish(losses, {k: 1 / T for k in losses})


# ---- arm ----

PICTURES = {"image": {"at": 128, "scale": 128}, "obs": {"scale": 1}, "pos": {"scale": 0.0625}, "grp": {"below": 3}}
SHARES, MEANS, SDS = [0.0625, 0.8125, 0.125], [0.0078125, -0.00390625, 0.015625], [0.015625, 0.0078125, 0.03125]
ARM = {"robot.steps.share": SHARES, "robot.steps.m": MEANS, "robot.steps.sd": SDS}


def baseline(rectified=False, balanced=False, standard=False, normed=False):
    settings = {"robot__S": 56, "act": "rectified" if rectified else "none",
                "weights": "balanced" if balanced else "equal", "standard": "yes" if standard else "no",
                "norm": "yes" if normed else "no"}
    c = Case("arm/baseline.graph", "train.clone", N, PICTURES, ARM, **settings)
    return policy(c, "", lambda x: x, rectified, balanced, standard, normed)


def policy(c, of, rounded, rectified=False, balanced=False, standard=False, normed=False):
    def dense(path, widths):
        layers, hidden = [], len(widths) - 2
        for i in range(len(widths) - 1):
            layers.append(c.linear(f"{of}{path}.dense{i + 1}", nn.Linear(widths[i], widths[i + 1])))
            if i < hidden:
                layers += [nn.ReLU()] if rectified else []
                layers += [c.norm(f"{of}{path}.between{i + 1}.batchnorm1", nn.BatchNorm1d(widths[i + 1]))] if normed else []
        return nn.Sequential(*layers)
    filters, before = [], 2
    for i, width in enumerate([8, 16, 32]):
        filters += [c.conv(f"{of}see.filter1[{i}]", nn.Conv2d(before, width, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    see = nn.Sequential(*filters, nn.Flatten(), *dense("see", [1568, 256, 128]))
    feel, act = dense("feel", [15, 256, 256, 128]), dense("act_", [128, 64, 32, 6])
    y = act(see(rounded(c.column("image", N, 2, 56, 56) / 255)) + feel(rounded(c.column("obs", N, 15))))
    aim, label = c.column("pos", N, 3), c.column("grp", N)
    if standard:
        aim = (aim - torch.tensor(MEANS)) / torch.tensor(SDS)
    ce = F.cross_entropy(y[:, 3:], label)
    if balanced:
        w = 1 / (3 * torch.tensor(SHARES))
        ce = F.cross_entropy(y[:, 3:], F.one_hot(label, 3).double(), weight=w)    # probability targets: over rows
    return c.finish({"pos_mse": F.mse_loss(y[:, :3], aim), "grp_ce": ce})


def autoencoder(fit, pixels):
    c = Case("arm/vae.graph", "train.vae", N, {"image": PICTURES["image"]}, robot__S=56, down="[8, 16, 32]",
             up="[16, 8]", latent=6, beta=0.25, fit=fit, pixels=pixels)
    layers, before = [], 2
    for i, width in enumerate([8, 16, 32]):
        layers += [c.conv(f"encoder.conv1[{i}]", nn.Conv2d(before, width, 3, 2, 1)), nn.LeakyReLU()]
        before = width
    enc = nn.Sequential(*layers, nn.Flatten())
    heads = [c.linear(f"encoder.linear{i}", nn.Linear(1568, 6)) for i in (1, 2)]
    start, layers = c.linear("decoder.linear1", nn.Linear(6, 1568)), []
    for i, width in enumerate([16, 8]):
        layers += [c.conv(f"decoder.tconv1[{i}]", nn.ConvTranspose2d(before, width, 3, 2, 1, 1)), nn.LeakyReLU()]
        before = width
    dec = nn.Sequential(*layers, c.conv("decoder.tconv2", nn.ConvTranspose2d(before, 2, 3, 2, 1, 1)), nn.Sigmoid())
    x = c.column("image", N, 2, 56, 56) / 255
    h = enc(x)
    mu, logvar = heads[0](h), heads[1](h)
    z = mu + torch.exp(logvar / 2) * normal("vae.reparameterize1.normal1", 0, N, 6)
    y = dec(start(z).reshape(N, 32, 7, 7))
    f = F.mse_loss if fit == "squared" else F.binary_cross_entropy
    picture = f(y, x) if pixels == "averaged" else f(y, x, reduction="sum") / N
    kl = (-0.5 * (1 + logvar - mu ** 2 - torch.exp(logvar))).sum(1).mean()
    return c.finish({"picture": picture, "kl": kl}, {"kl": 0.25})


def head(cameras):
    """The encoder of an autoencoder (here of the program itself instead of a run of it) is used and stays."""
    c = Case("arm/head.graph", "train.clone", N, PICTURES, {"robot.steps.share": SHARES},
             {"../../runs/vae": "vae.graph"}, robot__S=56, seen__robot__S=56, seen__latent=6, seen__down="[8, 16, 32]",
             seen__cameras=cameras)
    layers, before = [], cameras
    for i, width in enumerate([8, 16, 32]):
        layers += [c.conv(f"seen.encoder.conv1[{i}]", nn.Conv2d(before, width, 3, 2, 1)), nn.LeakyReLU()]
        before = width
    enc = nn.Sequential(*layers, nn.Flatten(), c.linear("seen.encoder.linear1", nn.Linear(1568, 6)))
    enc.requires_grad_(False)
    image = c.column("image", N, 2, 56, 56) / 255
    z = [enc(image[:, :cameras])]
    if cameras == 1:
        layers, before = [], 1
        for i, width in enumerate([8, 16, 32]):
            layers += [c.conv(f"look.conv1[{i}]", nn.Conv2d(before, width, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        z.append(nn.Sequential(*layers, nn.Flatten(), c.linear("look.linear1", nn.Linear(1568, 32)))(image[:, 1:]))
    y, before = torch.cat([*z, c.column("obs", N, 15)], 1), 15 + (6 if cameras == 2 else 38)
    for i, width in enumerate([128, 64, 6]):
        y = c.linear(f"head.mlp1.linear1[{i}]", nn.Linear(before, width))(F.relu(y) if i else y)
        before = width
    w = 1 / (3 * torch.tensor(SHARES))
    ce = F.cross_entropy(y[:, 3:], F.one_hot(c.column("grp", N), 3).double(), weight=w)
    return c.finish({"pos_mse": F.mse_loss(y[:, :3], c.column("pos", N, 3)), "grp_ce": ce})


def in_halves(p, g, lr=1e-3, eps=1e-4):
    """The first step of Adam, every number of it a half (numpy rounds after each operation)."""
    half = np.float16
    p, g = half(p.detach().numpy()), half(g.numpy())
    m, v = half(half(0.1) * 0 + half(0.1 * np.float64(g))), half(0.001 * np.float64(g * g))
    below = half(half(np.float64(np.sqrt(v)) / math.sqrt(0.001)) + half(eps))
    return torch.from_numpy(np.float64(p - half(lr / 0.1 * np.float64(m / below))))


def in_half():
    """The baseline on inputs that are halves, and what Adam makes of its weights."""
    c = Case("arm/half.graph", "train.clone", N, PICTURES, {"base." + k: v for k, v in ARM.items()}, base__robot__S=56)
    c.out["tolerance"] = {"f32": 1e-3}    # in f64 casts round nothing; of a weight near 0.5 a step of a half is 5e-4
    out = policy(c, "base.", lambda x: x.half().double())
    out["updated"] = {path: kept(moved.t() if turned else moved) for path, (p, turned) in c.weights.items()
                      for moved in [in_halves(p, p.grad)]}
    return out


# ---- occ ----

CELLS = {"seen": {"below": 2}, "told": {"below": 2}}


def occupancy(model, loss, alpha=0.99):
    rows = 2
    c = Case("occ/occ.graph", "train.occupancy", rows, CELLS, model_=model, w=2, loss_=loss, alpha=alpha)
    seen, t = c.column("seen", rows, 4, 20, 20, 12).double(), c.column("told", rows, 6, 20, 20, 12).double()

    def block(kind, i, before, width, k, stride, turn=""):
        layer = nn.Conv3d if kind == "conv" else nn.ConvTranspose3d
        n = {"conv": i, "tconv": 3 + i}[kind]
        at = ("foretell.simple1" if model == "simple" else "foretell.spatial1")
        name = f"{at}.{kind}{'' if turn else i}{turn}"
        norm = f"{at}.batchnorm{BATCHNORM[model][n - 1]}"
        return [c.conv(name, layer(before, width, k, stride, 1)), c.norm(norm, nn.BatchNorm3d(width)), nn.ReLU()]
    if model == "spatial":
        net = nn.Sequential(*block("conv", 1, 4, 16, 3, 1), *block("conv", 2, 16, 16, 3, 1),
                            c.conv("foretell.spatial1.conv3", nn.Conv3d(16, 6, 3, padding=1)), nn.Sigmoid())
        p = net(seen)
    else:
        p = simple(c, block, seen)
    pt = p * t + (1 - p) * (1 - t)
    q = pt.clamp(1e-7, 1 - 1e-7)
    rare = alpha if loss != "later" else 1 - t.mean()
    focal = (rare * t + (1 - rare) * (1 - t)) * (1 - q) ** 2 * -torch.log(q)
    bce = F.binary_cross_entropy(p, t, reduction="none")
    overlap = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    level = (p.mean() - t.mean()) ** 2
    entropy = {"bce": bce, "wbce": (1 + 9 * t) * bce, "wbce_dice": (1 + 9 * t) * bce, "focal_dice": focal,
               "full": focal, "later": focal * (0.9 ** torch.arange(6.0)).reshape(1, 6, 1, 1, 1)}[loss].mean()
    losses, weights = {"entropy": entropy}, {}
    if loss in ("wbce_dice", "focal_dice", "full", "later"):
        losses["overlap"] = overlap
    if loss in ("full", "later"):
        losses["level"], weights["level"] = level, 10
    if loss == "later":
        losses["missed"], weights["missed"] = -torch.log(p[t == 1]).mean(), 2
        losses["jaccard"] = lovasz(p.reshape(-1), t.reshape(-1))
    return c.finish(losses, weights)


BATCHNORM = {"spatial": ["1", "2"], "simple": ["1", "2[0]", "2[1]", "3[0]", "3[1]"]}


def simple(c, block, seen):
    w, at = 2, "foretell.simple1"
    enc = nn.Sequential(*block("conv", 1, 4, w, 3, 1), *block("conv", 2, w, 2 * w, 3, 2, "2[0]"),
                        *block("conv", 3, 2 * w, 4 * w, 3, 2, "2[1]"))
    lstm = [c.cell(f"{at}.lstm1.lstm_cell1[{i}]", nn.LSTM(4 * w, 4 * w), "_l0") for i in range(2)]
    dec = nn.Sequential(*block("tconv", 1, 4 * w, 2 * w, 4, 2, "1[0]"), *block("tconv", 2, 2 * w, w, 4, 2, "1[1]"),
                        c.conv(at + ".conv3", nn.Conv3d(w, 6, 3, padding=1)))
    h = enc(seen)
    g = lstm[0](h.mean((2, 3, 4))[None])[0]
    dropped = uniform("occupancy.foretell1.simple1.lstm1.dropout1[0].uniform1", 0, 1, *g.shape) < 0.1
    g = lstm[1](torch.where(dropped, torch.zeros(()), g / 0.9))[0][0]
    h = dec(g[:, :, None, None, None].expand_as(h))
    return torch.sigmoid(F.interpolate(h, (20, 20, 12), mode="trilinear"))


def lovasz(p, t):
    """By the definition of its gradient (Berman and others 2018): errors in falling order, times the steps of the index."""
    errors, order = (p - t).abs().sort(descending=True, stable=True)
    there = t[order]
    inter, union = there.sum() - there.cumsum(0), there.sum() + (1 - there).cumsum(0)
    lost = 1 - inter / union
    return (errors * torch.cat([lost[:1], lost[1:] - lost[:-1]])).sum()


CASES = {
    "dots.vicreg": vicreg,
    "dots.vicreg_two_layers": lambda: vicreg(how=2, world__layers=2),
    "dots.vicreg_stepwise": lambda: vicreg(stepwise_predictor, 12, world__predictor="stepwise", world__widths="[12]"),
    "dots.vicreg_warmed": lambda: vicreg(warmed_predictor, 2, world__predictor="warmed", world__burn=2),
    "dots.vicreg_projected": lambda: vicreg(projected=True),
    "dots.vicreg_three_channels": lambda: vicreg(channels=3, world__dots_="apart"),
    "dots.vicreg_decoded": lambda: of_size(512, decoder),
    "dots.vicreg_lenet5": lambda: of_size(128, vicreg, encoder=lenet5, steps=1, world__encoder="lenet5"),
    "dots.vicreg_resnet18": lambda: of_size(512, vicreg, encoder=resnet18, steps=1, rows=2, world__encoder="resnet18"),
    "dots.vicreg_canonical": lambda: of_size(256, vicreg, encoder=canonical, steps=1, world__encoder="canonical"),
    "dots.vicreg_flat": lambda: vicreg(encoder=flat, world__encoder="flat"),
    "dots.vicreg_pixels": lambda: of_size(512, vicreg, encoder=pixels, steps=1, rows=2, world__encoder="pixels"),
    "dots.vicreg_behind": lambda: vicreg(encoder=with_net_behind, world__behind="yes", world__behind_widths="[20]"),
    "dots.simclr": lambda: contrastive("both", True),
    "dots.simclr_raw": lambda: contrastive("both", False),
    "dots.simclr_of_frames": lambda: of_size(784, contrastive, "both", True, lambda c: frames(nn.Flatten()),
                                             world__encoder="none"),
    "dots.infonce": lambda: contrastive("others", True),
    "dots.supervised": lambda: supervised(1, 1, "single"),
    "dots.supervised_summed": lambda: supervised(1, 3, "summed"),
    "dots.supervised_apart": lambda: supervised(3, 3, "apart"),
    "dots.probe": probe,
    "dots.probe_net": lambda: probe(12),
    "dots.rssm_plain": lambda: rssm("plain", 0.25),
    "dots.rssm_plain_no_floor": lambda: rssm("plain", 0),
    "dots.rssm_through": lambda: rssm("through", 0.0078125),
    "dots.rssm_usual": lambda: rssm("through", 0.0078125, "usual"),
    "arm.baseline": baseline,
    "arm.baseline_rectified": lambda: baseline(rectified=True, balanced=True),
    "arm.baseline_standard": lambda: baseline(rectified=True, standard=True, normed=True),
    "arm.half": in_half,
    "arm.head": lambda: head(2),
    "arm.head_one_camera": lambda: head(1),
    "arm.vae": lambda: autoencoder("squared", "averaged"),
    "arm.vae_entropy": lambda: autoencoder("entropy", "summed"),
    **{f"occ.spatial_{k}": lambda k=k: occupancy("spatial", k)
       for k in ("bce", "wbce", "wbce_dice", "focal_dice", "full", "later")},
    "occ.spatial_focal_95": lambda: occupancy("spatial", "focal_dice", 0.95),
    "occ.simple_wbce": lambda: occupancy("simple", "wbce"),
    "occ.simple_full": lambda: occupancy("simple", "full"),
}


def line(x):
    return json.dumps(x, separators=(",", ":"))


def main():
    parts = []
    for name, case in CASES.items():
        inner = [f"   {line(k)}: " + (line(v) if k not in ("gradients", "states", "updated") else
                 "{\n" + ",\n".join(f"    {line(p)}: {line(n)}" for p, n in v.items()) + "}") for k, v in case().items()]
        parts.append(f"  {line(name)}: {{\n" + ",\n".join(inner) + "}")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "motion.json"), "w") as f:
        f.write(f"{{\n \"tolerance\": {line(TOLERANCE)},\n \"steps\": {{\n" + ",\n".join(parts) + "}\n}\n")


if __name__ == "__main__":
    main()
