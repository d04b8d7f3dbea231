#!/usr/bin/python3
"""One step of the models of graphs/vox and graphs/splat by PyTorch: what tests/graphs_golden_test.c compares with.

    /usr/bin/python3 tests/golden/studies.py

Made with PyTorch 1.13.0 (Debian python3-torch), numpy 1.24, Python 3.11, one thread, in float64.  The replicas are
written from the tables of the studies with torch.nn.functional.  Weights and noise are the program's own first draws
(draws.py); inputs follow a rule, so neither is stored.  Of each gradient there are, in studies.json: the sum of its
elements, their norm, the first and the last element; the same of the states of batch norm after the step.  Adam's
first moment after one step is a tenth of the gradient, clipped and with decay; that is what is compared.

Tolerance 1e-4: the program computes in f32, its rounding (6e-8) grows through up to twenty layers, and batch norm over
four rows divides by deviations down to 3e-3; mostly 1e-5 is seen, with `matching` 9.7e-5, for the slope of a softmin
of 100 times a distance is 100.  Where points nearly coincide, `ending=leaky`, the overlap divides by their distance:
6.3e-4 is seen, 2e-3 let pass.  Further settings of a file have only the gradients of matrices and kernels.
"""
import json
import math
import os

import torch
import torch.nn.functional as F

import draws

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
TOLERANCE = 1e-4
ROWS = 4


# ---- inputs: the rule stands also in tests/graphs_golden_test.c ----

def turn(n):
    """A number of 0 .. 65535 for each of n elements."""
    return (torch.arange(n, dtype=torch.int64) + 1) * 2654435761 % 2 ** 32 >> 16


def grids():
    m = turn(ROWS * 1331)
    return torch.where(m % 167 == 0, 1 + m % 4, 0).reshape(ROWS, 1331)


def points():
    """Places in elevenths and kinds; the last `n` points of row n are padding."""
    cell, kind = turn(ROWS * 24).reshape(ROWS, 8, 3) % 11, 1 + turn(ROWS * 8).reshape(ROWS, 8) % 4
    there = torch.arange(8)[None, :] < 8 - torch.arange(ROWS)[:, None]
    return torch.where(there[..., None], cell / 11, torch.ones(())), torch.where(there, kind, 0)


def images():
    return (turn(ROWS * 4096) / 16384.0 - 2).reshape(ROWS, 512, 8)


# ---- weights by their paths ----

class Weights:
    """Makes a weight the first time it is asked for, as the library of the language begins it.  Where a model is that
    of another file, `module` stands before its paths."""
    def __init__(self, module=""):
        self.leaves, self.states, self.module = {}, {}, module

    def uniform(self, path, bound, call, *shape):
        path = self.module + path
        if path not in self.leaves:
            bound = torch.tensor(bound, dtype=torch.float32).double()
            u = draws.uniform("%s.init.uniform%d" % (path, call), *shape)
            self.leaves[path] = (2 * bound * u - bound).requires_grad_()
        return self.leaves[path]

    def ones(self, path, n, value):
        return self.leaves.setdefault(self.module + path, torch.full((n,), value, dtype=torch.float64).requires_grad_())

    def linear(self, path, x, out):
        n = x.shape[-1]
        w = self.uniform(path + ".w", n ** -0.5, 1, n, out)
        return F.linear(x, w.t(), self.uniform(path + ".b", n ** -0.5, 2, out))

    def mlp(self, path, x, widths, act=F.relu):
        for i, out in enumerate(widths):
            x = self.linear("%s.linear1[%d]" % (path, i), act(x) if i else x, out)
        return x

    def conv(self, path, x, out, k, stride=1, pad=0):
        dims, n = x.dim() - 2, x.shape[1]
        bound = (n * k ** dims) ** -0.5
        w = self.uniform(path + ".w", bound, 1, out, n, *[k] * dims)
        b = self.uniform(path + ".b", bound, 2, out)
        return (None, F.conv1d, F.conv2d, F.conv3d)[dims](x, w, b, stride, pad)

    def tconv(self, path, x, out, k, stride=1, pad=0, extra=0):
        dims, n = x.dim() - 2, x.shape[1]
        bound = (out * k ** dims) ** -0.5
        w = self.uniform(path + ".w", bound, 1, n, out, *[k] * dims)
        b = self.uniform(path + ".b", bound, 2, out)
        return (None, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims](x, w, b, stride, pad, extra)

    def norm(self, path, x, eps=1e-5, rate=0.1):
        n = x.shape[1]
        m = self.states.setdefault(self.module + path + ".m", torch.zeros(n))
        v = self.states.setdefault(self.module + path + ".v", torch.ones(n))
        return F.batch_norm(x, m, v, self.ones(path + ".gain", n, 1.0), self.ones(path + ".bias", n, 0.0), True, rate,
                            eps)


def sampled(mu, logvar):
    return mu + torch.exp(logvar / 2) * draws.normal("vae.reparameterize1.normal1", *mu.shape)


def kl_each(mu, logvar):
    p = torch.distributions.Normal(mu, torch.exp(logvar / 2))
    return torch.distributions.kl_divergence(p, torch.distributions.Normal(0.0, 1.0))


# ---- robots as grids ----

def heads(p, h, latent):
    mu, logvar = (p.linear("encoder.linear%d" % (p.heads + i), h, latent) for i in (0, 1))
    return mu, logvar, sampled(mu, logvar)


def fc(p, x):
    p.heads = 3
    h = F.relu(p.linear("encoder.linear2", F.relu(p.linear("encoder.linear1", x.flatten(1), 512)), 256))
    mu, logvar, z = heads(p, h, 2)
    return torch.sigmoid(p.mlp("decoder.mlp1", z, [256, 512, 1331])).reshape(x.shape), mu, logvar


def conv(p, x, skip=False):
    p.heads = 1
    x = x[:, None]
    h = F.relu(p.conv("encoder.conv1", x, 128, 3, 2, 1))
    h = F.relu(p.conv("encoder.conv2", h, 256, 3, 2, 1))
    if skip:
        h = h + p.conv("encoder.conv3", x, 256, 7, 2)
    mu, logvar, z = heads(p, h.flatten(1), 2)
    h = F.relu(p.linear("decoder.linear1", z, 6912)).reshape(-1, 256, 3, 3, 3)
    y = p.tconv("decoder.tconv2", F.relu(p.tconv("decoder.tconv1", h, 128, 3, 2, 1, 1)), 1, 3, 2, 1)
    if skip:
        y = y + p.tconv("decoder.tconv3", h, 1, 7, 2)
    return torch.sigmoid(y)[:, 0], mu, logvar


def conv_skip(p, x):
    return conv(p, x, skip=True)


def conv_pool(p, x):
    p.heads = 1
    h = F.max_pool3d(F.relu(p.conv("encoder.conv1", x[:, None], 128, 3, 1, 2)), 2)
    h = F.max_pool3d(F.relu(p.conv("encoder.conv2", h, 256, 3, 1, 1)), 2)
    mu, logvar, z = heads(p, h.flatten(1), 2)
    h = F.interpolate(F.relu(p.linear("decoder.linear1", z, 6912)).reshape(-1, 256, 3, 3, 3), size=6)
    h = F.interpolate(F.relu(p.tconv("decoder.tconv1", h, 128, 3, 1, 1)), size=13)
    return torch.sigmoid(p.tconv("decoder.tconv2", h, 1, 3, 1, 2))[:, 0], mu, logvar


def deep(p, x, norm=False):
    p.heads = 1
    calls = {"encoder": 0, "decoder": 0}

    def act(h, where, plain=F.leaky_relu):
        if not norm:
            return plain(h, 0.1) if plain is F.leaky_relu else plain(h)
        calls[where] += 1
        return F.leaky_relu(p.norm("%s.act%d.batchnorm1" % (where, calls[where]), h), 0.1)
    h = x[:, None]
    for i, (out, stride) in enumerate(((64, 1), (128, 2), (256, 1), (256, 1))):
        h = act(p.conv("encoder.conv%d" % (i + 1), h, out, 3, stride, 1), "encoder")
    mu, logvar, z = heads(p, h.flatten(1), 2)
    h = act(p.linear("decoder.linear1", z, 55296), "decoder", F.relu).reshape(-1, 256, 6, 6, 6)
    h = act(p.conv("decoder.conv1", h, 256, 3, 1, 1), "decoder")
    h = act(p.conv("decoder.conv2", h, 128, 3, 1, 1), "decoder")
    h = act(p.tconv("decoder.tconv1", h, 64, 3, 2, 1), "decoder")
    return torch.sigmoid(p.conv("decoder.conv3", h, 1, 3, 1, 1))[:, 0], mu, logvar


def batch_norm(p, x):
    return deep(p, x, norm=True)


def rarity(grid, form):
    count = torch.bincount(grid.flatten(), minlength=5).double()
    if form == "inverse":
        w = torch.where(count > 0, 1 / count, torch.ones(()))
    else:
        w = 1 / torch.log(count + 1)
        w = torch.where(torch.isinf(w), w[~torch.isinf(w)].max(), w)
    return w / w.sum()


def dense(net, recon=F.mse_loss, form="log"):
    def losses(p):
        grid = grids().reshape(ROWS, 11, 11, 11)
        y, mu, logvar = net(p, grid.double())
        each = recon(y, grid / 4.0, reduction="none")
        return {"fit": (1.0, (rarity(grid, form)[grid] * each).mean()),
                "kl": (0.1, kl_each(mu, logvar).sum(1).mean())}
    return losses, {"grid": True}


# ---- robots as sets ----

def tower(p, path, x, widths):
    for i, out in enumerate(widths):
        x = F.leaky_relu(p.norm("%s.batchnorm1[%d]" % (path, i), p.conv("%s.conv1[%d]" % (path, i), x, out, 1)))
    return x


def rise(p, path, x, widths, out):
    for i, n in enumerate(widths):
        x = p.tconv("%s.tconv1[%d]" % (path, i), x, n, 2, 1 if i == 0 else 2)
        x = F.leaky_relu(p.norm("%s.batchnorm1[%d]" % (path, i), x))
    x = p.conv(path + ".conv1", x, out, 1).transpose(1, 2)
    return F.leaky_relu(p.linear(path + ".linear1", x, out))


def turned(p, x):
    return p.mlp("encoder.turned1.mlp1", x.mean(1), [64, 128, 9], F.leaky_relu).reshape(-1, 3, 3) + torch.eye(3)


def ends(both, ending):
    both = F.leaky_relu(both) if ending == "leaky" else both
    h = both[..., 3:]
    return torch.sigmoid(both[..., :3]), F.softmax(h, -1) if ending == "softmax" else h


def towers(p, x, k, widths):
    turn_ = turned(p, x)
    s = tower(p, "encoder.tower1", (x @ turn_).transpose(1, 2), [64, 128, 1024])
    return turn_, s, tower(p, "encoder.tower2", k.transpose(1, 2), widths)


def two_rises(p, g):
    g = F.leaky_relu(g)[:, :, None]
    both = rise(p, "decoder.rise1", g, [512, 1024, 256], 3), rise(p, "decoder.rise2", g, [512, 128, 64], 5)
    return torch.cat(both, -1)


def pointnet_v2(p, x, k, ending="plain"):
    turn_, s, q = towers(p, x, k, [64, 128, 1024])
    g = F.leaky_relu(s.mean(2) + s.max(2)[0] + q.mean(2))
    p.heads = 1
    mu, logvar, z = heads(p, F.leaky_relu(p.mlp("encoder.mlp1", g, [512, 256, 128], F.leaky_relu)), 16)
    both = two_rises(p, p.mlp("decoder.mlp1", z, [128, 256], F.leaky_relu))
    return (*ends(p.linear("decoder.linear1", both, 8), ending), mu, logvar, turn_)


def attention(p, x, k):
    """The middle part by torch's own attention: three projections in one matrix."""
    turn_, s, q = towers(p, x, k, [64, 128, 1024])
    s, q = s.permute(2, 0, 1), q.permute(2, 0, 1)
    path, n = "encoder.across1.linear%d", 1024
    weights = [p.uniform(path % i + ".w", n ** -0.5, 1, n, n).t() for i in (1, 2, 3, 4)]
    biases = [p.uniform(path % i + ".b", n ** -0.5, 2, n) for i in (1, 2, 3, 4)]
    both, _ = F.multi_head_attention_forward(s, q, q, n, 4, torch.cat(weights[:3]), torch.cat(biases[:3]), None, None,
                                             False, 0.0, weights[3], biases[3], need_weights=False)
    g = F.leaky_relu(torch.cat([both.mean(0), both.max(0)[0]], 1))
    p.heads = 1
    mu, logvar, z = heads(p, F.leaky_relu(p.mlp("encoder.mlp1", g, [1024, 512, 256, 128], F.leaky_relu)), 16)
    p.module = "v2."  # the decoder is that of pointnet_v2
    both = two_rises(p, p.mlp("decoder.mlp1", z, [128, 256], F.leaky_relu))
    return (*ends(p.linear("decoder.linear1", both, 8), "plain"), mu, logvar, turn_)


def pointnet_v1(p, x, k):
    turn_, s, q = towers(p, x, k, [64, 128])
    p.heads = 1
    g = p.mlp("encoder.mlp1", torch.cat([s.mean(2), s.max(2)[0], q.mean(2)], 1), [1024, 512, 256], F.leaky_relu)
    mu, logvar, z = heads(p, F.leaky_relu(g), 2)
    both = two_rises(p, p.linear("decoder.linear1", z, 256))
    return (*ends(p.linear("decoder.linear2", both, 8), "plain"), mu, logvar, turn_)


def sparse(p, x, k):
    points_ = torch.cat([x, k], -1)
    turn_ = p.mlp("encoder.mlp1", points_.mean(1), [64, 128, 64]).reshape(-1, 8, 8) + torch.eye(8)
    h = F.relu(p.mlp("encoder.mlp2", points_ @ turn_, [64, 128, 1024]))
    h = torch.cat([h, h.max(1, keepdim=True)[0].expand(-1, 8, -1)], -1)
    p.heads = 1
    mu, logvar, z = heads(p, F.relu(p.mlp("encoder.mlp3", h, [512, 256])).mean(1), 2)
    u = p.linear("decoder.linear1", z, 256)[:, None].expand(-1, 8, -1)
    u = F.relu(p.mlp("decoder.mlp1", F.relu(u), [512, 1024]))
    u = p.mlp("decoder.mlp2", torch.cat([u, z[:, None].expand(-1, 8, -1)], -1), [1024, 128, 64, 8])
    return torch.sigmoid(u[..., :3]), u[..., 3:], mu, logvar, turn_


def shuffled():
    place, kind = points()
    order = draws.permutations("vae.shuffled1.permutation1", ROWS, 8)
    place = torch.gather(place, 1, order[..., None].expand(-1, -1, 3))
    return place, F.one_hot(torch.gather(kind, 1, order), 5).double()


def distances(r, x):
    return torch.cdist(r, x, compute_mode="donot_use_mm_for_euclid_dist")


def matches(d):
    """A row of inf alone takes nothing."""
    dead = torch.isinf(d).all(-1, keepdim=True)
    return torch.where(dead, 0.0, F.softmin(torch.where(dead, 0.0, 100 * d), -1))


def evenness(w):
    p = w.sum(1) / (w.sum((1, 2)) + 1e-8)[:, None]
    return -(p * torch.log(p + 1e-8)).sum(1)


def placed(r, x):
    w = matches(distances(r, x))
    return ((math.log(8) - evenness(w)) ** 2 + ((r - w @ x) ** 2).mean((1, 2))).mean()


def described(h, r, x, k):
    target = (matches(distances(r, x)) @ k).argmax(-1)
    return F.cross_entropy(h.reshape(-1, 5), target.flatten())


def overlap(r, h):
    cell, given = torch.round(11 * r).clamp(0, 11), h.argmax(-1) > 0
    total = torch.zeros(())
    for n in range(len(r)):
        for i in range(8):
            for j in range(i + 1, 8):
                if given[n, i] and given[n, j] and (cell[n, i] == cell[n, j]).all():
                    total = total - torch.log(torch.linalg.norm(r[n, i] - r[n, j]) + 1e-8)
    return total / len(r)


def bent(turn_):
    return torch.linalg.norm(torch.eye(turn_.shape[1]) - turn_ @ turn_.transpose(1, 2)) / len(turn_)


def twice(r, h, k):
    total = 0.0
    for n in range(len(r)):
        given = h[n].argmax(-1) > 0
        total += abs(int((~given).sum()) - int(k[n, :, 0].sum()))
        total += int(given.sum()) - len(torch.unique(r[n][given], dim=0))
    return torch.tensor(total / len(r))


def matching(r, x, h, k):
    given, there = h.argmax(-1) > 0, k[..., 0] < 0.5
    open_ = given[:, :, None] & there[:, None, :]
    d = distances(r, x)
    w = matches(torch.where(open_, d, math.inf))
    share = w / (w.sum(1, keepdim=True) + 1e-8)
    return ((share * torch.where(open_, d, 0.0)).sum((1, 2)) / 8)[open_.any(2).any(1)].mean()


def even(r, x, h, k, form):
    given, there = h.argmax(-1) > 0, k[..., 0] < 0.5
    open_ = given[:, :, None] & there[:, None, :]
    d = distances(r, x)
    w = matches(torch.where(open_, d, math.inf))
    said, true = given.sum(1).double(), there.sum(1).double()
    average = ((said + true) / 2).clamp(min=1)
    short = torch.log(true.clamp(min=1)) - evenness(w)
    far = (w * torch.where(open_, d, 0.0)).sum((1, 2))
    apart = F.smooth_l1_loss(said, true, reduction="none")
    each = short * (1 + apart / average) + far / average if form == "counted" else short ** 2 + far
    return each[open_.any(2).any(1)].mean()


def padding(h, k, form, truth):
    p, t = F.softmax(h, -1)[..., 0], F.softmax(k, -1)[..., 0] if truth == "squashed" else k[..., 0]
    a, b = p.sum(1), t.sum(1)
    if form == "sums":
        return F.smooth_l1_loss(a, b)
    return (F.smooth_l1_loss(p, t, reduction="none").mean(1) * ((8 - b) / (8 - a)).clamp(min=1)).mean()


def by_point(r, h, x, k):
    return F.mse_loss(r, x), F.cross_entropy(h.reshape(-1, 5), k.argmax(-1).flatten())


def sets(net, terms, **how):
    """`terms` gives (name, weight, value) of everything but the divergence."""
    def losses(p):
        x, k = shuffled()
        r, h, mu, logvar, turn_ = net(p, x, k)
        out = {name: (weight, value) for name, weight, value in terms(r, h, x, k, turn_)}
        return {**out, "kl": (how.get("beta", 0.1), kl_each(mu, logvar).sum(1).mean())}
    return losses, {"decay": 1e-5, "clip": 1.0, **how}


def last(place, kind, over, turn_):
    return lambda r, h, x, k, t: [("coord", place, placed(r, x)), ("desc", kind, described(h, r, x, k)),
                                  ("overlap", over, overlap(r, h)), ("turn_", turn_, bent(t))]


def of_sparse(r, h, x, k, t):
    coord, desc = by_point(r, h, x, k)
    return [("coord", 1.0, coord), ("desc", 1.0, desc)]


def of_v1(r, h, x, k, t):
    coord, desc = by_point(r, h, x, k)
    return [("desc", 0.3, desc), ("coord", 0.7, coord), ("dup_pad", 0.1, twice(r, h, k)), ("turn_", 0.001, bent(t))]


def of_v1_otherwise(r, h, x, k, t):
    """Places as the encoder turned them, times the penalty, which has no gradient of its own."""
    coord, desc = F.mse_loss(r, x @ t) * twice(r, h, k), by_point(r, h, x, k)[1]
    return [("desc", 0.3, desc), ("coord", 0.7, coord), ("turn_", 0.001, bent(t))]


def of_matching(r, h, x, k, t):
    return [("match_", 1.0, matching(r, x, h, k)), ("turn_", 0.001, bent(t))]


def of_matched_kinds(r, h, x, k, t):
    open_ = (h.argmax(-1) > 0)[:, :, None] & (k[..., 0] < 0.5)[:, None, :]
    w = matches(distances(r, x).masked_fill(~open_, math.inf))
    desc = F.cross_entropy(h.reshape(-1, 5), (w @ k).argmax(-1).flatten())
    return of_matching(r, h, x, k, t) + [("desc", 1.0, desc)]


def of_evenness(form):
    return lambda r, h, x, k, t: [("coord", 1.0, even(r, x, h, k, form)), ("turn_", 0.001, bent(t))]


def of_padding(form, truth):
    base = last(1.5, 1.5, 0.4, 0.001)
    return lambda r, h, x, k, t: base(r, h, x, k, t) + [("padding", 0.1, padding(h, k, form, truth))]


def of_counted(r, h, x, k, t):
    voxels = ((h.argmax(-1) > 0) & (torch.round(11 * r) < 11).all(-1)).sum(1).double()
    count = F.smooth_l1_loss(voxels, (k[..., 0] < 0.5).sum(1).double())
    return [("coord", 2.5, placed(r, x)), ("desc", 5.0, described(h, r, x, k)), ("count", 1.0, count)]


def with_ending(ending):
    return lambda p, x, k: pointnet_v2(p, x, k, ending)


# ---- splats ----

def bn(p, path, x):
    return p.norm(path + ".batchnorm1", x, 1e-3, 0.01)


def dropped(path, x, rate):
    return torch.where(draws.uniform(path + ".uniform1", *x.shape) < rate, 0.0, x / (1 - rate))


def layer(p, path, x, out, drop=0.0):
    x = F.elu(bn(p, path + ".bn1", p.conv(path + ".conv1", x, out, 5, 1, 2)))
    return dropped("vae.%s1.%s.dropout1" % tuple(path.split(".")), x, drop) if drop else x


def splat_conv(p, x, latent, sampled=True):
    h = layer(p, "encoder.layer1", x.transpose(1, 2), 32, 0.1)
    h = layer(p, "encoder.layer2", F.max_pool1d(h, 2), 64, 0.15)
    g = layer(p, "encoder.layer3", F.max_pool1d(h, 2), 128, 0.2).mean(2)
    g = bn(p, "encoder.bn1", F.elu(p.linear("encoder.linear1", g, 512)))
    p.heads = 2
    mu, logvar, z = heads(p, dropped("vae.encoder1.dropout1", g, 0.2), latent)
    g = bn(p, "decoder.bn1", F.elu(p.linear("decoder.linear1", z if sampled else mu, 512)))
    g = bn(p, "decoder.bn2", F.elu(p.linear("decoder.linear2", g, 2048)))
    h = g.reshape(-1, 128, 16).transpose(1, 2)
    h = F.interpolate(layer(p, "decoder.layer1", h, 64), scale_factor=2)
    h = F.interpolate(layer(p, "decoder.layer2", h, 32), scale_factor=2)
    return p.conv("decoder.conv1", layer(p, "decoder.layer3", h, 16), 8, 1).transpose(1, 2), mu, logvar


def block(p, path, x, out):
    h = F.elu(bn(p, path + ".bn1", p.conv(path + ".conv1", x, out, 5, 1, 2)))
    h = bn(p, path + ".bn2", p.conv(path + ".conv2", h, out, 5, 1, 2))
    return F.elu(h + (x if x.shape[1] == out else p.conv(path + ".conv3", x, out, 1)))


def splat_resnet(p, x, latent, enc=(32, 64, 128, 256, 256), dec=(256, 128, 64, 32, 16), seeds=512):
    h = x.transpose(1, 2)
    for i, out in enumerate(enc):
        h = block(p, "encoder.block1[%d]" % i, h, out)
        h = F.max_pool1d(h, 2) if i < 4 else h
    g = bn(p, "encoder.bn1", F.elu(p.linear("encoder.linear1", h.mean(2), 512)))
    p.heads = 2
    mu, logvar, z = heads(p, g, latent)
    g = bn(p, "decoder.bn1", F.elu(p.linear("decoder.linear1", z, 512)))
    g = bn(p, "decoder.bn2", F.elu(p.linear("decoder.linear2", g, 32 * seeds)))
    h = g.reshape(-1, 32, seeds).transpose(1, 2)
    for i, out in enumerate(dec):
        h = block(p, "decoder.block1[%d]" % i, h, out)
        h = F.interpolate(h, scale_factor=2) if i < 4 else h
    return p.conv("decoder.conv1", h, 8, 1).transpose(1, 2), mu, logvar


def splats(net, latent, beta, weights=(1, 1, 1, 1), sums=False, module="", **how):
    def losses(p):
        x = images()
        y, mu, logvar = net(p, x, latent, **how)
        out, at = {}, 0
        for name, channels, weight in zip(("xy", "scale", "rot", "feat"), (2, 2, 1, 3), weights):
            value = F.mse_loss(y[..., at:at + channels], x[..., at:at + channels])
            out[name] = (weight, value * channels if sums else value)
            at += channels
        return {**out, "kl": (beta / 50, kl_each(mu, logvar).mean())}
    return losses, {"eps": 1e-7, "module": module}


THIRDS = (0.5, 0.5, 1.0, 1 / 3)
SMALL = ["dec=[128, 128, 64, 32, 16]", "seed_channels=128"]
CASES = [
    ("vox/fc", [], dense(fc)),
    ("vox/fc", ["recon=bce"], dense(fc, F.binary_cross_entropy)),
    ("vox/fc", ["recon=smooth", "weights=inverse"], dense(fc, F.smooth_l1_loss, "inverse")),
    ("vox/conv", [], dense(conv)),
    ("vox/conv_pool", [], dense(conv_pool)),
    ("vox/conv_skip", [], dense(conv_skip)),
    ("vox/deep", [], dense(deep)),
    ("vox/batch_norm", [], dense(batch_norm)),
    ("vox/sparse", [], sets(sparse, of_sparse, decay=0, clip=None)),
    ("vox/pointnet_v1", [], sets(pointnet_v1, of_v1, decay=0, clip=None)),
    ("vox/pointnet_v1", ["aim=turned", "penalty=multiplied"], sets(pointnet_v1, of_v1_otherwise, decay=0, clip=None)),
    ("vox/pointnet_v2", [], sets(pointnet_v2, last(2.5, 5.0, 0.3, 0.001))),
    ("vox/pointnet_v2", ["ending=leaky"], sets(with_ending("leaky"), last(2.5, 5.0, 0.3, 0.001), tolerance=2e-3)),
    ("vox/pointnet_v2", ["ending=softmax"], sets(with_ending("softmax"), last(2.5, 5.0, 0.3, 0.001))),
    ("vox/attention", [], sets(attention, last(2.0, 0.5, 0.1, 0.001), beta=0.3)),
    ("vox/losses/matching", [], sets(pointnet_v2, of_matching, beta=0.01, module="v2.")),
    ("vox/losses/matching", ["kinds=yes"], sets(pointnet_v2, of_matched_kinds, beta=0.01, module="v2.")),
    ("vox/losses/evenness", ["form=counted"], sets(pointnet_v2, of_evenness("counted"), beta=0.01, module="v2.")),
    ("vox/losses/evenness", ["form=squared"], sets(pointnet_v2, of_evenness("squared"), beta=0.01, module="v2.")),
    ("vox/losses/padding", [], sets(pointnet_v2, of_padding("points", "sure"), beta=0.02, module="v2.")),
    ("vox/losses/padding", ["form=sums", "truth=squashed"],
     sets(pointnet_v2, of_padding("sums", "squashed"), beta=0.02, module="v2.")),
    ("vox/losses/counted", [], sets(pointnet_v2, of_counted, module="v2.")),
    ("splat/conv", [], splats(splat_conv, 256, 1)),
    ("splat/conv", ["latent=512", "beta=0"], splats(splat_conv, 512, 0)),
    ("splat/conv", ["sampled=no", "beta=0"], splats(splat_conv, 256, 0, sampled=False)),
    ("splat/weighted", [], splats(splat_conv, 256, 1, THIRDS, module="net.")),
    ("splat/weighted", ["reading=sums"], splats(splat_conv, 256, 1, THIRDS, sums=True, module="net.")),
    ("splat/resnet", [], splats(splat_resnet, 512, 0)),
    ("splat/resnet", ["beta=0.5"] + SMALL,
     splats(splat_resnet, 512, 0.5, dec=(128, 128, 64, 32, 16), seeds=128)),
]


def marks(t):
    t = t.detach().flatten()
    return [float(v) for v in (t.sum(), t.norm(), t[0], t[-1])]


def step(losses, how):
    """Losses and total; the first moments of Adam and the states of batch norm after one step."""
    p = Weights(how.get("module", ""))
    terms = losses(p)
    total = sum(weight * value for weight, value in terms.values() if weight != 0)
    total.backward()
    leaves = {path: x for path, x in p.leaves.items() if x.grad is not None}
    optimizer = torch.optim.Adam(list(leaves.values()), lr=1e-3, eps=how.get("eps", 1e-8),
                                 weight_decay=how.get("decay", 0))
    if how.get("clip"):
        torch.nn.utils.clip_grad_norm_(list(leaves.values()), how["clip"])
    optimizer.step()
    vars_ = {path + ".adam.m": marks(optimizer.state[x]["exp_avg"]) for path, x in leaves.items()}
    vars_.update((path, marks(x)) for path, x in p.states.items())
    return {"losses": {**{k: float(v) for k, (_, v) in terms.items()}, "total": float(total)},
            "vars": vars_}


def case_text(file, settings, losses, how, brief):
    case = step(losses, how)
    kept = {k: v for k, v in case["vars"].items() if not brief or k.endswith(".w.adam.m")}
    marks_ = ",\n".join("    %s: [%s]" % (json.dumps(k), ", ".join("%.6g" % x for x in v)) for k, v in kept.items())
    shared = {"splat/weighted": "net.splat", "splat/conv": "splat", "splat/resnet": "splat"}
    head = {"file": file, "module": shared.get(file, "vox" if "grid" in how else "set"),
            "settings": settings, "tolerance": how.get("tolerance", TOLERANCE), "brief": brief,
            "losses": case["losses"]}
    print(json.dumps(head), flush=True)
    return json.dumps(head)[:-1] + ',\n  "vars": {\n' + marks_ + "}}"


def main():
    done, out = set(), []
    for file, settings, (losses, how) in CASES:
        out.append(case_text(file, settings, losses, how, file in done))
        done.add(file)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "studies.json"), "w") as f:
        f.write('{"rows": %d, "cases": [\n%s]}\n' % (ROWS, ",\n".join(out)))


main()
