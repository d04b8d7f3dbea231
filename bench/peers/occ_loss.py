"""bench/ops/occ_loss.graph in PyTorch: focal, dice and mean match of a grid from logits, forward and backward;
run through bench/peers/tuned."""
import timed
import torch

shape = (3, 200, 200, 121)
h = torch.randn(shape, requires_grad=True)
t = (torch.rand(shape) < 0.0083).float()


def step():
    h.grad = None
    p = torch.sigmoid(h)
    q = torch.where(t == 1, p, 1 - p).clamp(1e-7, 1 - 1e-7)
    focal = (torch.where(t == 1, 0.99, 0.01) * (1 - q).square() * -torch.log(q)).mean()
    dice = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    (focal + dice + 10 * (p.mean() - t.mean()).square()).backward()


timed.run("occ_loss torch", step, 10)
