#!/usr/bin/python3
"""Numbers of PyTorch for tests/golden_test.c: every FILE.graph here gets a FILE.json.

    /usr/bin/python3 tests/golden/make.py [NAME ...]

Made with PyTorch 1.13.0 (Debian python3-torch), Python 3.11, one thread, in float64, torch.manual_seed(1).

Inputs and weights are whole multiples of 2^-10, so that f32 and f64 start from the same numbers.  Tolerances are
relative to the largest element of the tensor:

  f64  1e-6   both sides compute in f64, but numbers of the program (0.1, 1 - beta2^k ..) are rounded to f32 where
              they meet a tensor, and are wrong by up to 6e-8 each
  f32  1e-5   a few dozen roundings of 6e-8, and functions right to 2 ulp

precision has 2e-2 in f64: a check in f64 rounds nothing, so this is how far bf16 (8 binary digits) is from exact numbers
after a few products; its f32 run rounds as PyTorch does.

small_vae has 2e-6 in f64, because normal deviates are f32 (4.7e-7 off the exact inverse error function).  Random
numbers and initial values come from a Philox written here from its publication: a change of streams is seen.
"""
import json
import math
import os
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

TOLERANCE = {"f64": 1e-6, "f32": 1e-5}


def draw(*shape, scale=1.0):
    return torch.round(torch.randn(*shape) * scale * 1024) / 1024


def stored(t):
    return t.detach().tolist() if torch.is_tensor(t) else t


def pair(f, d_y, **inputs):
    """An export of the inputs, d_y and the outputs y and d_NAME of all inputs."""
    xs = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    y = f(*xs.values())
    (y * d_y).sum().backward()
    return {"in": {**inputs, "d_y": d_y}, "out": {"y": y, **{"d_" + k: x.grad for k, x in xs.items()}}}


def loss_pair(f, inputs, gradients, **more):
    """An export of a loss, with its gradients by the inputs named."""
    xs = {k: v.clone().requires_grad_() if k in gradients else v for k, v in inputs.items()}
    loss = f(*xs.values())
    loss.backward()
    return {"in": inputs, "out": {"value": loss, **{"d_" + k: xs[k].grad for k in gradients}, **more}}


def activations():
    x, d_y = draw(4, 7, scale=2), draw(4, 7)
    functions = {
        "relu": F.relu, "leaky_relu": lambda x: F.leaky_relu(x, 0.125), "elu": F.elu, "gelu": F.gelu, "silu": F.silu,
        "softplus": F.softplus, "sigmoid": torch.sigmoid, "softmax": lambda x: F.softmax(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1), "softmin": lambda x: F.softmin(x, -1), "relu6": F.relu6,
        "selu": F.selu, "mish": F.mish, "log_sigmoid": F.logsigmoid, "hard_sigmoid": F.hardsigmoid,
        "hard_silu": F.hardswish, "softsign": F.softsign, "unit": lambda x: F.normalize(x, dim=-1),
    }
    exports = {k + "_pair": pair(f, d_y, x=x) for k, f in functions.items()}
    exports["glu_pair"] = pair(F.glu, draw(4, 4), x=draw(4, 8, scale=2))
    return {"exports": exports}


def losses():
    y, x, h, t = draw(4, 6), draw(4, 6), draw(4, 6, scale=3), torch.rand(4, 6)
    t = torch.round(t * 1024) / 1024
    label = torch.tensor([5, 0, 2, 2])
    mu, logvar = draw(4, 6), draw(4, 6)
    return {"exports": {
        "mse_pair": loss_pair(lambda y, x: F.mse_loss(y, x), {"y": y, "x": x}, ["y"]),
        "mae_pair": loss_pair(lambda y, x: F.l1_loss(y, x), {"y": y, "x": x}, ["y"]),
        "bce_pair": loss_pair(lambda h, t: F.binary_cross_entropy(torch.sigmoid(h), t), {"h": h, "t": t}, ["h"]),
        "bce_logits_pair": loss_pair(lambda h, t: F.binary_cross_entropy_with_logits(h, t), {"h": h, "t": t}, ["h"]),
        "cross_entropy_pair": loss_pair(lambda h, label: F.cross_entropy(h, label), {"h": h, "label": label}, ["h"],
                                        each=F.cross_entropy(h, label, reduction="none")),
        "gaussian_kl_pair": loss_pair(gaussian_kl, {"mu": mu, "logvar": logvar}, ["mu", "logvar"]),
    }}


def labels():
    h, t, w = draw(4, 6, scale=3), draw(4, 6).abs(), draw(6).abs() + 0.25
    t = torch.round(F.normalize(t, p=1, dim=1) * 1024) / 1024
    label, mask = torch.tensor([5, 0, 2, 2]), (draw(4, 6) > 0).double()
    given = {"h": h, "label": label}

    def focal(p, t, alpha, gamma):
        q = torch.where(t == 1, p, 1 - p)
        return torch.where(t == 1, alpha, 1 - alpha) * (1 - q) ** gamma * -torch.log(q)

    def dice(p, t, smooth):
        return 1 - (2 * (p * t).sum(-1) + smooth) / (p.sum(-1) + t.sum(-1) + smooth)
    p = torch.sigmoid(h)
    return {"exports": {
        "rows_pair": loss_pair(lambda h, label, w: F.cross_entropy(h, label, w, reduction="none").mean(),
                               {**given, "w": w}, ["h"], each=F.cross_entropy(h, label, w, reduction="none")),
        "weights_pair": loss_pair(F.cross_entropy, {**given, "w": w}, ["h"]),
        "smooth_pair": loss_pair(lambda h, label: F.cross_entropy(h, label, label_smoothing=0.125), given, ["h"],
                                 each=F.cross_entropy(h, label, label_smoothing=0.125, reduction="none")),
        "both_pair": loss_pair(lambda h, label, w: F.cross_entropy(h, label, w, label_smoothing=0.125),
                               {**given, "w": w}, ["h"]),
        "soft_pair": loss_pair(F.cross_entropy, {"h": h, "t": t}, ["h", "t"]),
        "nll_pair": loss_pair(F.nll_loss, given, ["h"]),
        "focal_pair": loss_pair(lambda h, t: focal(torch.sigmoid(h), t, 0.25, 2.0).mean(), {"h": h, "t": mask}, ["h"],
                                each=focal(p, mask, 0.25, 2.0)),
        "focal_probability_pair": loss_pair(lambda h, t: focal(torch.sigmoid(h), t, 0.75, 1.5).mean(),
                                            {"h": h, "t": mask}, ["h"]),
        "dice_pair": loss_pair(lambda h, t: dice(torch.sigmoid(h).flatten(), t.flatten(), 1.0), {"h": h, "t": mask},
                               ["h"], each=dice(p, mask, 0.5)),
    }}


def distances():
    a, b, c = draw(4, 6), draw(4, 6), draw(4, 6)
    two, ab = {"a": a, "b": b}, ["a", "b"]

    def normal_kl(a, b):
        p, q = torch.distributions.Normal(a, torch.exp(b)), torch.distributions.Normal(b, torch.exp(a))
        return torch.distributions.kl_divergence(p, q)

    def classes_kl(a, b):
        return F.kl_div(F.log_softmax(b, -1), F.log_softmax(a, -1), log_target=True, reduction="none").sum(-1)

    def triplet(a, b, c, reduction="mean"):
        return F.triplet_margin_with_distance_loss(a, b, c, distance_function=lambda x, y: (x - y).norm(dim=-1),
                                                   margin=0.5, reduction=reduction)

    def cosine(a, b):
        return 1 - F.cosine_similarity(a, b)
    return {"exports": {
        "huber_pair": loss_pair(lambda a, b: F.huber_loss(a, b, delta=0.75), two, ab,
                                each=F.huber_loss(a, b, delta=0.75, reduction="none")),
        "smooth_l1_pair": loss_pair(lambda a, b: F.smooth_l1_loss(a, b, beta=0.5), two, ab),
        "hinge_pair": loss_pair(lambda a, b: F.relu(1 - a * torch.sign(b)).mean(), two, ["a"]),
        "cosine_pair": loss_pair(lambda a, b: cosine(a, b).mean(), two, ab, each=cosine(a, b)),
        "triplet_pair": loss_pair(triplet, {**two, "c": c}, ["a", "b", "c"], each=triplet(a, b, c, "none")),
        "normal_kl_pair": loss_pair(lambda a, b: normal_kl(a, b).mean(), two, ab, each=normal_kl(a, b)),
        "categorical_kl_pair": loss_pair(lambda a, b: classes_kl(a, b).mean(), two, ab, each=classes_kl(a, b)),
    }}


def contrastive():
    def nt_xent(a, b, reduction="mean"):
        f = F.normalize(torch.cat([a, b]), dim=-1)
        s = (f @ f.T / 0.25).masked_fill(torch.eye(8, dtype=torch.bool), -math.inf)
        return F.cross_entropy(s, (torch.arange(8) + 4) % 8, reduction=reduction)

    def variance(z):
        return F.relu(1 - torch.sqrt(z.var(0) + 1e-4))

    def covariance(z):
        c = torch.cov(z.T)
        return (c ** 2).sum() / 3 - (torch.diagonal(c) ** 2).sum() / 3
    a, b, z = draw(4, 6), draw(4, 6), draw(5, 3, scale=0.75)
    return {"exports": {
        "nt_xent_pair": loss_pair(nt_xent, {"a": a, "b": b}, ["a", "b"], each=nt_xent(a, b, "none")),
        "variance_pair": loss_pair(lambda z: variance(z).mean(), {"z": z}, ["z"], each=variance(z)),
        "covariance_pair": loss_pair(covariance, {"z": z}, ["z"]),
    }}


def orders():
    x, d_y, k = draw(4, 5), draw(4, 5), torch.randint(0, 3, (4, 5))

    def recur(a, b):
        y = [b[:, 0]]
        for i in range(1, 5):
            y.append(a[:, i] * y[-1] + b[:, i])
        return torch.stack(y, 1)
    functions = {
        "sorted": lambda x: x.sort(1)[0], "falling": lambda x: x.sort(0, descending=True)[0],
        "sums": lambda x: x.cumsum(0), "products": lambda x: x.cumprod(1), "highest": lambda x: x.cummax(1)[0],
        "lowest": lambda x: x.cummin(0)[0],
    }
    exports = {n + "_pair": pair(f, d_y, x=x) for n, f in functions.items()}
    exports["places"] = {"in": {"x": x, "k": k}, "out": {
        "up": x.argsort(1), "down": k.sort(stable=True, dim=1, descending=True)[1]}}
    exports["recur_pair"] = pair(recur, d_y, a=draw(4, 5), b=draw(4, 5))
    exports["top_pair"] = pair(lambda x: x.topk(2, 1)[0], draw(4, 2), x=x)
    exports["top_pair"]["out"]["at"] = x.topk(2, 1)[1]
    exports["shapes"] = pair(lambda x: torch.tan(x / 4) + torch.log2(1 + x ** 2), d_y, x=x)
    exports["shapes"]["out"] = {"up": torch.ceil(x), "cut": torch.trunc(x), "tangent": torch.tan(x / 4),
                                "two": torch.log2(1 + x ** 2), "mask": torch.tril(torch.ones(4, 4)),
                                "d_x": exports["shapes"]["out"]["d_x"]}
    return {"exports": exports}


def scatter():
    """Row by row, in order."""
    at = torch.tensor([4, 1, 4, 0])

    def added(x, u):
        return x.index_add(0, at, u)

    def put(x, u):
        rows = list(x)
        for j, i in enumerate(at.tolist()):
            rows[i] = u[j]
        return torch.stack(rows)
    x, u, d_y = draw(6, 3), draw(4, 3), draw(6, 3)
    exports = {"added_pair": pair(added, d_y, x=x, u=u), "put_pair": pair(put, d_y, x=x, u=u)}
    for e in exports.values():
        e["in"]["at"] = at
    x, u, at = draw(2, 6), draw(2, 2, 2), torch.tensor([[[5, 0], [5, 1]], [[2, 2], [2, 3]]])
    y, z = x.clone(), x.clone()
    for n in range(2):
        for i, v in zip(at[n].flatten().tolist(), u[n].flatten()):
            y[n, i] = v
            z[n, i] += v
    exports["rows_pair"] = {"in": {"x": x, "at": at, "u": u}, "out": {"y": y, "z": z}}
    return {"exports": exports}


def gaussian_kl(mu, logvar):
    """By torch.distributions, not by the formula that the library has."""
    p = torch.distributions.Normal(mu, torch.exp(logvar / 2))
    return torch.distributions.kl_divergence(p, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()


def products():
    d4, d43, d45 = draw(4), draw(4, 3), draw(4, 5)
    x = draw(4, 5)
    table, i = draw(6, 3), torch.tensor([3, 0, 3, 5, 1])
    out = {
        "matmul": pair(lambda a, b: a @ b, d43, a=draw(4, 5), b=draw(5, 3)),
        "bilinear": pair(lambda a, w, c: F.bilinear(a, c, w), d43, a=draw(4, 5), w=draw(3, 5, 2), c=draw(4, 2)),
        "log_sum_exp": pair(lambda x: torch.logsumexp(x, 1), d4, x=x),
        "functions": pair(lambda x: torch.exp(x) * torch.sin(2 * x) + torch.cos(x) * torch.tanh(x)
                          + torch.erf(x) * torch.sqrt(1 + x ** 2) + torch.log1p(x ** 2) - torch.expm1(-x)
                          + torch.atan2(x, 1 + x ** 2), d45, x=x),
    }
    hi, lo = pair(lambda x: x.max(1)[0], d4, x=x), pair(lambda x: x.min(1)[0], d4, x=x)
    out["extrema"] = {"in": hi["in"], "out": {"hi": hi["out"]["y"], "lo": lo["out"]["y"],
                                              "d_hi": hi["out"]["d_x"], "d_lo": lo["out"]["d_x"]}}
    rows = pair(lambda table: F.embedding(i, table), draw(5, 3), table=table)
    rows["in"]["i"] = i
    out["embedding"] = rows
    base, p = draw(4, 5).abs() + 0.25, draw(4, 5)
    power, cube = pair(torch.pow, d45, x=base, p=p), pair(lambda x: x ** 3, d45, x=base)
    out["powers"] = {"in": {"x": base, "p": p, "d_y": d45}, "out": {
        "y": power["out"]["y"], "d_x": power["out"]["d_x"], "d_p": power["out"]["d_p"],
        "cube": cube["out"]["y"], "d_cube": cube["out"]["d_x"]}}

    def penalty(x, w):
        g, = torch.autograd.grad(torch.tanh(x @ w).sum(), x, create_graph=True)
        return (g ** 2).sum() / 2
    second = loss_pair(penalty, {"x": x, "w": draw(5, 3, scale=0.5)}, ["x", "w"])
    second["out"]["penalty"] = second["out"].pop("value")
    out["second"] = second
    return {"exports": out}


def product():
    x, d_y = draw(4, 5), draw(4)
    x[1, 2] = x[2, 0] = x[2, 3] = 0
    return {"exports": {"product": pair(lambda x: x.prod(1), d_y, x=x)}}


def train(forward, parameters, optimizer, batches, states=None, weights=None, clip=None, scale=1):
    """Steps of an optimiser.  `parameters`: path -> leaf (as torch has it) and view (as the program has it).  `scale`: of
    the loss that is differentiated; gradients are divided by it."""
    leaves = {k: leaf for k, (leaf, view) in parameters.items()}
    views = {k: view for k, (leaf, view) in parameters.items()}

    def snapshot():
        seen = {k: stored(views[k](leaves[k])) for k in leaves}
        return {**seen, **{k: stored(v) for k, v in (states or {}).items()}}
    before, steps = snapshot(), []
    o = optimizer(list(leaves.values()))
    for columns in batches:
        terms = forward(len(steps), **columns)
        total = sum((weights or {}).get(k, 1.0) * v for k, v in terms.items())
        o.zero_grad()
        (scale * total).backward()
        for leaf in leaves.values():
            leaf.grad /= scale
        if clip:
            torch.nn.utils.clip_grad_norm_(list(leaves.values()), clip)
        o.step()
        steps.append({"columns": columns, "out": {**terms, "total": total}, "vars": snapshot()})
    return {"vars": before, "steps": steps}


def same(t):
    return t


def leaf(*shape, scale=0.5):
    return draw(*shape, scale=scale).requires_grad_()


def values(parameters):
    return {k: stored(view(p)) for k, (p, view) in parameters.items()}


def plain_sgd(lr):
    return lambda ps: torch.optim.SGD(ps, lr=lr)


def layernorm():
    gain, bias = leaf(6), leaf(6)

    def net(x):
        return F.layer_norm(x, (6,), gain, bias)
    x, d_y = draw(4, 6), draw(4, 6)
    parameters = {"net.layernorm1.gain": (gain, same), "net.layernorm1.bias": (bias, same)}
    case = {"exports": {"pair": pair(net, d_y, x=x)}, "vars": values(parameters)}
    case["phases"] = {"train": train(lambda i, x, t: {"fit": F.mse_loss(net(x), t)}, parameters, plain_sgd(1),
                                     [{"x": x, "t": draw(4, 6)}])}
    return case


def batchnorm():
    w, b, gain, bias = leaf(3, 2, 3), leaf(3), leaf(3), leaf(3)
    m, v = draw(3), draw(3).abs() + 0.5

    def net(x, training):
        return F.batch_norm(F.conv1d(x, w, b), m, v, gain, bias, training)
    parameters = {"net.conv1.w": (w, same), "net.conv1.b": (b, same),
                  "net.batchnorm1.gain": (gain, same), "net.batchnorm1.bias": (bias, same)}
    states = {"net.batchnorm1.m": m, "net.batchnorm1.v": v}
    x, d_y = draw(6, 2, 5), draw(6, 3, 3)
    case = {"exports": {"pair": pair(lambda x: net(x, False), d_y, x=x)},
            "vars": {**values(parameters), **{k: stored(s) for k, s in states.items()}}}
    batches = [{"x": draw(6, 2, 5), "t": draw(6, 3, 3)} for _ in range(3)]
    case["phases"] = {"train": train(lambda i, x, t: {"fit": F.mse_loss(net(x, True), t)}, parameters, plain_sgd(0.5),
                                     batches, states)}
    return case


def conv():
    shapes = {"net.conv1": ((4, 1, 3, 2), 4), "net.residual1.conv1": ((6, 4, 3, 3), 6),
              "net.residual1.conv2": ((6, 6, 3, 3), 6), "net.residual1.conv3": ((6, 4, 1, 1), 6),
              "net.tconv1": ((6, 3, 4, 3), 3)}
    layer = {path: (leaf(*w), leaf(b)) for path, (w, b) in shapes.items()}
    norm = {"net.residual1.batchnorm%d" % i: (leaf(6), leaf(6), draw(6), draw(6).abs() + 0.5) for i in (1, 2)}

    def net(x, training):
        def bn(i, h):
            gain, bias, m, v = norm["net.residual1.batchnorm%d" % i]
            return F.batch_norm(h, m, v, gain, bias, training)
        x = F.relu(F.conv2d(x, *layer["net.conv1"], padding=1, groups=2))
        h = F.relu(bn(1, F.conv2d(x, *layer["net.residual1.conv1"], stride=2, padding=1)))
        h = bn(2, F.conv2d(h, *layer["net.residual1.conv2"], padding=1))
        h = F.relu(h + F.conv2d(x, *layer["net.residual1.conv3"], stride=2))
        return F.conv_transpose2d(h, *layer["net.tconv1"], stride=(2, 3), padding=(1, 1))
    parameters, states = {}, {}
    for path, (w, b) in layer.items():
        parameters.update({path + ".w": (w, same), path + ".b": (b, same)})
    for path, (gain, bias, m, v) in norm.items():
        parameters.update({path + ".gain": (gain, same), path + ".bias": (bias, same)})
        states.update({path + ".m": m, path + ".v": v})
    x, d_y = draw(3, 2, 6, 5), draw(3, 3, 6, 7)
    case = {"exports": {"pair": pair(lambda x: net(x, False), d_y, x=x),
                        "instance": pair(F.instance_norm, draw(3, 2, 6, 5), x=x)},
            "vars": {**values(parameters), **{k: stored(s) for k, s in states.items()}}}
    case["phases"] = {"train": train(lambda i, x, t: {"fit": F.mse_loss(net(x, True), t)}, parameters, plain_sgd(1),
                                     [{"x": x, "t": draw(3, 3, 6, 7)}], states)}
    case["init"] = {}
    for path, (w, b) in shapes.items():
        bound = 1 / math.sqrt(math.prod(w[1:]))
        case["init"][path + ".w"] = stored(uniform(path + ".w.init.uniform1", -bound, bound, *w))
        case["init"][path + ".b"] = stored(uniform(path + ".b.init.uniform2", -bound, bound, b))
    return case


def windows():
    return {"exports": {
        "line": pair(lambda x, w: F.conv1d(x, w, stride=2, padding=2),
            draw(2, 4, 6), x=draw(2, 3, 9), w=draw(4, 3, 3)),
        "plane": pair(lambda x, w: F.conv2d(x, w, stride=(1, 2), padding=(0, 1), dilation=(2, 1)),
            draw(2, 3, 3, 3), x=draw(2, 2, 5, 6), w=draw(3, 2, 2, 3)),
        "groups": pair(lambda x, w: F.conv2d(x, w, padding=1, groups=2),
            draw(2, 6, 4, 6), x=draw(2, 4, 4, 5), w=draw(6, 2, 3, 2)),
        "depthwise": pair(lambda x, w: F.conv1d(x, w, dilation=2, groups=3),
            draw(2, 6, 3), x=draw(2, 3, 7), w=draw(6, 1, 3)),
        "solid": pair(lambda x, w: F.conv3d(x, w, stride=2, padding=(1, 1, 0)),
            draw(2, 3, 3, 2, 2), x=draw(2, 2, 4, 3, 5), w=draw(3, 2, 2, 3, 2)),
        "back_line": pair(lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1),
            draw(2, 2, 8), x=draw(2, 3, 4), w=draw(3, 2, 3)),
        "back_groups": pair(lambda x, w: F.conv_transpose2d(x, w, stride=(2, 3), dilation=(2, 1), groups=2),
            draw(2, 6, 9, 5), x=draw(2, 4, 3, 2), w=draw(4, 3, 3, 2)),
        "back_solid": pair(lambda x, w: F.conv_transpose3d(x, w, stride=2, padding=(1, 0, 1)),
            draw(1, 2, 3, 6, 3), x=draw(1, 3, 2, 3, 2), w=draw(3, 2, 3, 2, 3)),
        "max_line": pair(lambda x: F.max_pool1d(x, 2), draw(2, 3, 4), x=draw(2, 3, 9)),
        "max_over": pair(lambda x: F.max_pool2d(x, 3, stride=2, padding=1), draw(2, 2, 4, 3), x=draw(2, 2, 7, 6)),
        "max_dilated": pair(lambda x: F.max_pool1d(x, 3, stride=1, padding=1, dilation=2),
            draw(2, 2, 7), x=draw(2, 2, 9)),
        "max_ceil": pair(lambda x: F.max_pool2d(x, (2, 3), ceil_mode=True), draw(2, 2, 3, 3), x=draw(2, 2, 5, 7)),
        "max_solid": pair(lambda x: F.max_pool3d(x, (2, 3, 2), stride=(2, 1, 1)),
            draw(2, 2, 2, 2, 2), x=draw(2, 2, 5, 4, 3)),
        "max_ties": pair(lambda x: F.max_pool2d(x, 3, stride=2, padding=1), draw(2, 2, 3, 4),
            x=torch.randint(0, 2, (2, 2, 6, 7)).double()),
        "mean_plane": pair(lambda x: F.avg_pool2d(x, 2), draw(2, 2, 2, 3), x=draw(2, 2, 5, 6)),
        "mean_over": pair(lambda x: F.avg_pool1d(x, 3, stride=2, padding=1), draw(2, 2, 4), x=draw(2, 2, 7)),
        "mean_ceil": pair(lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
            draw(2, 2, 4, 4), x=draw(2, 2, 6, 7)),
        "mean_inside": pair(lambda x: F.avg_pool3d(x, 3, stride=(2, 1, 2), padding=1, count_include_pad=False),
            draw(1, 2, 3, 4, 2), x=draw(1, 2, 5, 4, 3)),
        "near": pair(lambda x: F.interpolate(x, size=(7, 4)), draw(2, 2, 7, 4), x=draw(2, 2, 4, 6)),
        "near_double": pair(lambda x: F.interpolate(x, size=(6, 6)), draw(2, 2, 6, 6), x=draw(2, 2, 3, 2)),
        "near_solid": pair(lambda x: F.interpolate(x, size=(7, 4, 2)), draw(1, 2, 7, 4, 2), x=draw(1, 2, 3, 2, 5)),
        "linear_line": pair(lambda x: F.interpolate(x, size=8, mode="linear"), draw(2, 2, 8), x=draw(2, 2, 5)),
        "linear_plane": pair(lambda x: F.interpolate(x, size=(4, 7), mode="bilinear"),
            draw(2, 2, 4, 7), x=draw(2, 2, 7, 3)),
        "linear_solid": pair(lambda x: F.interpolate(x, size=(3, 6, 5), mode="trilinear"),
            draw(1, 2, 3, 6, 5), x=draw(1, 2, 4, 3, 2)),
        "pad_zero": pair(lambda x: F.pad(x, (2, 1)), draw(2, 2, 6), x=draw(2, 2, 3)),
        "pad_reflect": pair(lambda x: F.pad(x, (2, 4, 1, 1), mode="reflect"), draw(2, 2, 6, 11), x=draw(2, 2, 4, 5)),
        "pad_edge": pair(lambda x: F.pad(x, (2, 2, 0, 3), mode="replicate"), draw(2, 2, 7, 9), x=draw(2, 2, 4, 5)),
    }}


def gru():
    cell = torch.nn.GRUCell(2, 5)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(draw(*p.shape, scale=0.5))
    path = "cell.gru_cell1.linear"
    parameters = {path + "1.w": (cell.weight_ih, torch.t), path + "1.b": (cell.bias_ih, same),
                  path + "2.w": (cell.weight_hh, torch.t), path + "2.b": (cell.bias_hh, same)}
    case = {"exports": {"pair": pair(lambda v, h: cell(v, h), draw(4, 5), v=draw(4, 2), h=draw(4, 5, scale=0.5))},
            "vars": values(parameters)}

    def forward(i, x, t):
        h = torch.zeros(x.shape[0], 5)
        for s in range(x.shape[1]):
            h = cell(x[:, s], h)
        return {"fit": F.mse_loss(h, t)}
    case["phases"] = {"train": train(forward, parameters, plain_sgd(1), [{"x": draw(4, 3, 2), "t": draw(4, 5)}])}
    return case


def layer(net, parameters, x, t):
    """An export with the gradient of the input, and one step of plain descent."""
    case = {"exports": {"pair": pair(net, draw(*t), x=draw(*x))}, "vars": values(parameters)}
    case["phases"] = {"train": train(lambda i, x, t: {"fit": F.mse_loss(net(x), t)}, parameters, plain_sgd(1),
                                     [{"x": draw(*x), "t": draw(*t)}])}
    return case


def recurrent(kind, name):
    module = kind(2, 5, num_layers=2, batch_first=True)
    parameters = {}
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(draw(*p.shape, scale=0.5))
    for i in range(2):
        for k, way in ((1, "ih"), (2, "hh")):
            path = "net.%s1.%s_cell1[%d].linear%d" % (name, name, i, k)
            parameters[path + ".w"] = (getattr(module, "weight_%s_l%d" % (way, i)), torch.t)
            parameters[path + ".b"] = (getattr(module, "bias_%s_l%d" % (way, i)), same)
    return layer(lambda x: module(x)[0], parameters, (4, 3, 2), (4, 3, 5))


def rnn():
    return recurrent(torch.nn.RNN, "rnn")


def gru_layers():
    return recurrent(torch.nn.GRU, "gru")


def lstm():
    return recurrent(torch.nn.LSTM, "lstm")


def loops():
    cell = torch.nn.GRUCell(2, 5)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(draw(*p.shape, scale=0.5))
    path = "net.gru_cell1.linear"
    parameters = {path + "1.w": (cell.weight_ih, torch.t), path + "1.b": (cell.bias_ih, same),
                  path + "2.w": (cell.weight_hh, torch.t), path + "2.b": (cell.bias_hh, same)}
    states = {"net.count": torch.zeros(()), "net.centred1.m": draw(2)}

    def forward(i, x, t):
        h, m, count = torch.zeros(4, 5), states["net.centred1.m"].clone(), float(states["net.count"])
        for s in range(3):
            g, each = h, []
            for k in range(2):
                m = 0.75 * m + 0.25 * x[:, s, k].mean(0)
                g = cell(x[:, s, k] - m, g)
                count += 1
                each.append(g)
            h = sum(each) / 2 + s * 0.125 - count * 0.0625
        states["net.centred1.m"].copy_(m)
        states["net.count"].fill_(count)
        return {"fit": F.mse_loss(h, t)}
    return {"phases": {"train": train(forward, parameters, plain_sgd(1),
                                      [{"x": draw(4, 3, 2, 2), "t": draw(4, 5)} for _ in range(2)], states)}}


def attention():
    module = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(draw(*p.shape, scale=0.5))
    mask = torch.triu(torch.ones(3, 3, dtype=torch.bool), 1)
    path = "net.attention1.linear"
    parameters = {path + "1.w": (module.in_proj_weight, torch.t), path + "1.b": (module.in_proj_bias, same),
                  path + "2.w": (module.out_proj.weight, torch.t), path + "2.b": (module.out_proj.bias, same)}
    return layer(lambda x: module(x, x, x, attn_mask=mask)[0], parameters, (4, 3, 6), (4, 3, 6))


class Rounded(torch.autograd.Function):
    """A value in the numbers of another type; its cotangent passes as it is."""
    @staticmethod
    def forward(ctx, x, kind):
        return x.float().to(kind).double()

    @staticmethod
    def backward(ctx, g):
        return g, None


class RoundedBack(torch.autograd.Function):
    """A value as it is; its cotangent in the numbers of another type."""
    @staticmethod
    def forward(ctx, y, kind):
        ctx.kind = kind
        return y.clone()

    @staticmethod
    def backward(ctx, g):
        return g.float().to(ctx.kind).double(), None


def precision():
    """Operands of products are cast, also those of the gradients; sums are not: what autocast does, but for the results of
    products, which stay wide."""
    shapes = {"net.conv1": ((4, 2, 3), 4), "net.linear1": ((5, 9), 5), "net.linear2": ((3, 5), 3)}
    views = {"net.conv1": same, "net.linear1": torch.t, "net.linear2": torch.t}
    begin = {path: (draw(*w, scale=0.5), draw(b, scale=0.5)) for path, (w, b) in shapes.items()}
    columns = [{"x": draw(4, 2, 6), "t": draw(4, 3)}]

    def phase(kind):
        layer = {path: (w.clone().requires_grad_(), b.clone().requires_grad_()) for path, (w, b) in begin.items()}

        def product(f, path, x, tail, **more):
            w, b = layer[path]
            y = f(Rounded.apply(x, kind), Rounded.apply(w, kind), **more)
            return RoundedBack.apply(y, kind) + b.reshape(tail)

        def forward(i, x, t):
            h = F.relu(product(F.conv1d, "net.conv1", x, (4, 1), padding=1))
            s = torch.zeros(4, 5)
            for k in range(6):
                s = torch.tanh(product(F.linear, "net.linear1", torch.cat([h[:, :, k], s], 1), (5,)))
            y = product(F.linear, "net.linear2", s, (3,))
            return {"fit": F.mse_loss(y, t), "apart": ((y @ y.T) ** 2).mean()}
        parameters = {}
        for path, (w, b) in layer.items():
            parameters.update({path + ".w": (w, views[path]), path + ".b": (b, same)})
        return train(forward, parameters, plain_sgd(32), columns, weights={"fit": 1 / 32, "apart": 1 / 256},
                     scale=2 ** 16 if kind == torch.half else 1)
    return {"tolerance": {"f64": 2e-2, "f32": 1e-5}, "phases": {"brain": phase(torch.bfloat16), "half": phase(torch.half)}}


def norms():
    gain, bias, scale = leaf(4), leaf(4), leaf(5)

    def net(x):
        y = F.group_norm(x, 2, gain, bias)
        return y * torch.rsqrt((y ** 2).mean(-1, keepdim=True) + 1e-6) * scale
    parameters = {"net.groupnorm1.gain": (gain, same), "net.groupnorm1.bias": (bias, same),
                  "net.rmsnorm1.gain": (scale, same)}
    return layer(net, parameters, (4, 4, 3, 5), (4, 4, 3, 5))


def embedding():
    w = leaf(7, 5)
    ids = torch.tensor([[1, 0, 6], [3, 3, 1], [5, 2, 3], [6, 6, 6]])
    return {"phases": {"train": train(lambda i, x, t: {"fit": F.mse_loss(F.embedding(x, w), t)},
                                      {"net.embedding1.w": (w, same)}, plain_sgd(1),
                                      [{"x": ids, "t": draw(4, 3, 5)}])}}


class Lars(torch.optim.Optimizer):
    """You and others 2017, as systems use it: vectors without decay and without the scale."""
    def __init__(self, parameters, lr, momentum, trust, decay):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, trust=trust, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                if p.dim() > 1:
                    g = g + group["decay"] * p
                    g = group["trust"] * p.norm() / g.norm() * g
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(group["momentum"]).add_(g)
                p.sub_(group["lr"] * m)


def optimizers():
    w0, b0 = draw(2, 3), draw(2)
    batches = [{"x": draw(4, 3), "t": draw(4, 2)} for _ in range(3)]

    def phase(optimizer, **more):
        w, b = w0.clone().requires_grad_(), b0.clone().requires_grad_()
        return train(lambda i, x, t: {"fit": F.mse_loss(F.linear(x, w, b), t)},
                     {"net.linear1.w": (w, torch.t), "net.linear1.b": (b, same)}, optimizer, batches, **more)
    return {"phases": {
        "plain": phase(plain_sgd(0.25)),
        "heavy": phase(lambda ps: torch.optim.SGD(ps, lr=0.125, momentum=0.9, weight_decay=0.01)),
        "moments": phase(lambda ps: torch.optim.Adam(ps, lr=0.01)),
        "decayed": phase(lambda ps: torch.optim.Adam(ps, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)),
        "decoupled": phase(lambda ps: torch.optim.AdamW(ps, lr=0.01, weight_decay=0.1)),
        "clipped": phase(plain_sgd(0.25), clip=0.5),
        "ahead": phase(lambda ps: torch.optim.SGD(ps, lr=0.125, momentum=0.9, weight_decay=0.01, nesterov=True)),
        "root": phase(lambda ps: torch.optim.RMSprop(ps, lr=0.01, alpha=0.9, eps=1e-6)),
        "root_heavy": phase(lambda ps: torch.optim.RMSprop(ps, lr=0.01, momentum=0.5, weight_decay=0.01)),
        "summed": phase(lambda ps: torch.optim.Adagrad(ps, lr=0.1)),
        "layers": phase(lambda ps: Lars(ps, lr=2, momentum=0.9, trust=0.125, decay=0.01)),
        "unclipped": phase(plain_sgd(0.25), clip=100),
    }}


def metrics():
    """Metrics of all rows at once, by counting; losses as means of batches weighted by rows."""
    w, b = leaf(4, 4), leaf(4)
    x, t, label = draw(22, 4), draw(22), torch.randint(0, 4, (22,))
    h = F.linear(x, w, b)
    best = h.argmax(1)
    batches = [slice(0, 8), slice(8, 16), slice(16, 22)]
    top = sum(h[s].max() * len(h[s]) for s in batches) / 22
    ce = F.cross_entropy(h, label)
    table = torch.zeros(4, 4)
    for i, j in zip(label.tolist(), best.tolist()):
        table[i, j] += 1
    f1, macro = 0.0, torch.zeros(4, 3)
    for k in range(4):
        precision = table[k, k] / max(table[:, k].sum(), 1)
        recall = table[k, k] / max(table[k].sum(), 1)
        f = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
        macro[k] = torch.tensor([precision, recall, f])
        if precision + recall > 0:
            f1 += table[k].sum() / 22 * 2 * precision * recall / (precision + recall)
    there = table.sum(1) / 22
    regions = torch.diagonal(table) / (table.sum(0) + table.sum(1) - torch.diagonal(table)).clamp(min=1)
    cell = torch.floor(torch.sigmoid(h[:, 0]) * 8)
    up, down = cell[label == 0][:, None], cell[label != 0][None, :]
    more = {"macro_p": macro[:, 0].mean(), "macro_r": macro[:, 1].mean(), "macro_f": macro[:, 2].mean(),
            "weighted_p": (there * macro[:, 0]).sum(), "weighted_r": (there * macro[:, 1]).sum(),
            "micro": (best == label).sum() / 22, "regions": regions.mean(),
            "top2": (h.topk(2, 1)[1] == label[:, None]).any(1).sum() / 22,
            "masks": ((h > 0) & (x > 0)).sum() / ((h > 0) | (x > 0)).sum(),
            "area": ((up > down).double() + (up == down).double() / 2).mean()}
    return {"splits": {"score": {
        "vars": {"net.linear1.w": stored(torch.t(w)), "net.linear1.b": stored(b)},
        "batches": [{"x": x[s], "t": t[s], "label": label[s]} for s in batches],
        "out": {**more, "ce": ce, "top": top, "total": ce + 0.25 * top, "accuracy": (best == label).sum() / 22,
                "f1": f1,
                "table": table, "rmse": torch.sqrt(F.mse_loss(h[:, 0], t)),
                "spread": h[:, 1].std(unbiased=False),
                "active": ((h ** 2).mean(0) > 0.5).sum(), "largest": h.max(0)[0]}}}}


# ---- random numbers of semantics 8 ----

def philox(counter, key):
    """Philox4x32-10: ten rounds, the key raised before each but the first (Salmon and others, SC 2011)."""
    c, k, m = list(counter), list(key), 0xffffffff
    for i in range(10):
        p, q = 0xd2511f53 * c[0], 0xcd9e8d57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & m, (p >> 32) ^ c[3] ^ k[1], p & m]
        k = [(k[0] + 0x9e3779b9) & m, (k[1] + 0xbb67ae85) & m]
    return c


def hash_bytes(data):
    """runtime/base/hash.h with seed 0."""
    m, word, turn = (1 << 64) - 1, 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03

    def fold(a, b):
        return (a * b & m) ^ (a * b >> 64)

    def mix(a, b):
        return fold((fold(a ^ word, turn) + b) & m, word)
    h = mix(0, turn)
    for i in range(0, len(data), 8):
        h = (fold(h ^ int.from_bytes(data[i:i + 8], "little"), word) + turn) & m
    return mix(h, len(data))


def words(path, clock, n, iteration=0):
    stream = hash_bytes(path.encode()) & 0xffffffff
    return [philox((16 * (e // 64) + e % 16, iteration, clock, 0), (1, stream))[e // 16 % 4] for e in range(n)]


def uniform(path, lo, hi, *shape):
    u = torch.tensor([(w >> 8) * 2.0 ** -24 for w in words(path, 0, math.prod(shape))])
    return (lo + (hi - lo) * u).reshape(shape)


def normal(path, clock, *shape, iteration=0):
    signed = [(w ^ 0x80000000) - 0x80000000 for w in words(path, clock, math.prod(shape), iteration)]
    v = torch.tensor([((w >> 8) + 0.5) * 2.0 ** -23 for w in signed])
    return (math.sqrt(2) * torch.erfinv(v)).reshape(shape)


def small_vae():
    layers = {"encoder.linear1": (13, 8), "encoder.linear2": (8, 5), "encoder.linear3": (5, 2),
              "encoder.linear4": (5, 2), "decoder.mlp1.linear1[0]": (2, 5), "decoder.mlp1.linear1[1]": (5, 8),
              "decoder.mlp1.linear1[2]": (8, 13)}
    init, parameters = {}, {}
    for path, (a, b) in layers.items():
        bound = 1 / math.sqrt(a)
        init[path + ".w"] = stored(uniform(path + ".w.init.uniform1", -bound, bound, a, b))
        init[path + ".b"] = stored(uniform(path + ".b.init.uniform2", -bound, bound, b))
        parameters[path + ".w"] = (leaf(b, a), torch.t)
        parameters[path + ".b"] = (leaf(b), same)

    def linear(path, x):
        return F.linear(x, parameters[path + ".w"][0], parameters[path + ".b"][0])

    def forward(step, grid):
        x = grid / 4
        h = F.relu(linear("encoder.linear2", F.relu(linear("encoder.linear1", x))))
        mu, logvar = linear("encoder.linear3", h), linear("encoder.linear4", h)
        z = mu + torch.exp(logvar / 2) * normal("vae.reparameterize1.normal1", step, 8, 2)
        for i in range(3):
            z = linear("decoder.mlp1.linear1[%d]" % i, F.relu(z) if i else z)
        return {"fit": F.mse_loss(torch.sigmoid(z), x), "kl": gaussian_kl(mu, logvar)}
    batches = [{"grid": torch.randint(0, 5, (8, 13))} for _ in range(3)]
    phase = train(forward, parameters, lambda ps: torch.optim.Adam(ps, lr=1e-3), batches, weights={"kl": 0.1})
    return {"tolerance": {"f64": 2e-6, "f32": 1e-5}, "init": init, "phases": {"train": phase}}


def plain(x):
    """Tensors as nested lists."""
    if torch.is_tensor(x):
        return stored(x)
    if isinstance(x, list):
        return [plain(v) for v in x]
    return {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else x


def text(x, depth=0):
    """JSON with a line for each tensor."""
    if not isinstance(x, dict) and not (isinstance(x, list) and x and isinstance(x[0], dict)):
        return json.dumps(x, separators=(",", ":"))
    if isinstance(x, dict):
        inner = [json.dumps(k) + ": " + text(v, depth + 1) for k, v in x.items()]
    else:
        inner = [text(v, depth + 1) for v in x]
    pad, ends = " " * (depth + 1), "{}" if isinstance(x, dict) else "[]"
    return ends[0] + "\n" + ",\n".join(pad + line for line in inner) + "\n" + " " * depth + ends[1]


CASES = [activations, losses, labels, distances, contrastive, orders, scatter, products, product, layernorm, batchnorm,
         conv, windows, precision, norms, attention, embedding, gru, gru_layers, rnn, lstm, loops, optimizers, metrics,
         small_vae]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for case in CASES:
        if len(sys.argv) > 1 and case.__name__ not in sys.argv[1:]:
            continue
        torch.manual_seed(1)
        with open(os.path.join(here, case.__name__ + ".json"), "w") as f:
            f.write(text(plain({"tolerance": TOLERANCE, **case()})) + "\n")


main()
