"""graphs/dots/vicreg.graph as a PyTorch training step: MeNet5 on 17 x 32 frames, a GRU over 16 actions, VICReg per time
step without the first, LARS with momentum; run through bench/peers/tuned."""
import timed
import torch
from torch import nn
import torch.nn.functional as F

N, T, E, SIM, STD, COV = 32, 16, 512, 52.716, 118.404, 1.0
see = nn.Sequential(nn.Conv2d(1, 32, 5, 2, 2), nn.ReLU(), nn.BatchNorm2d(32), nn.Conv2d(32, 64, 5, 2, 2), nn.ReLU(),
                    nn.BatchNorm2d(64), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.BatchNorm2d(64), nn.AvgPool2d(2),
                    nn.Flatten(), nn.Linear(576, E))
foresee = nn.GRU(2, E)
act_of = nn.Linear(2 * E, 2)                                           # its weight in the loss is 0
assert timed.parameters(see, foresee, act_of) == 1179394
see = see.to(memory_format=torch.channels_last)
params = [*see.parameters(), *foresee.parameters()]
momentum = [torch.zeros_like(p) for p in params]
states, actions = torch.randn(N, T + 1, 28, 28), torch.randn(N, T, 2)
off_diagonal = 1 - torch.eye(E)


@torch.no_grad()
def lars(lr=5e-5, trust=1e-3, decay=1e-6):
    for p, m in zip(params, momentum):
        g = p.grad
        if p.ndim > 1:
            g = g + decay * p
            a, b = p.norm(), g.norm()
            g = g * torch.where((a > 0) & (b > 0), trust * a / b, torch.ones(()))
        m.mul_(0.9).add_(g)
        p.sub_(lr * m)
        p.grad = None


def step():
    with timed.cast():
        frames = states.transpose(0, 1).reshape(-1, 1, 28, 28).contiguous(memory_format=torch.channels_last)
        z = see(frames).view(T + 1, N, E)
        p, _ = foresee(actions.transpose(0, 1), z[:1].contiguous())
    z, p = z[1:].float(), p.float()
    c = z - z.mean(1, keepdim=True)
    variance = F.relu(1 - torch.sqrt(c.square().sum(1) / (N - 1) + 1e-4)).mean()
    gram = c.transpose(1, 2) @ c / (N - 1)
    covariance = ((gram * off_diagonal).square().sum((1, 2)) / E).mean()
    (SIM * F.mse_loss(p, z) + STD * variance + COV * covariance).backward()
    lars()


timed.run("dots vicreg torch", step, 30)
