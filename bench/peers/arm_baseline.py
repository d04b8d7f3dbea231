"""graphs/arm/baseline.graph as a PyTorch training step, 64 pairs of pictures of 224 x 224;
run through bench/peers/tuned."""
import timed
import torch
from torch import nn
import torch.nn.functional as F

N = 64
layers = []
for a, b in ((2, 8), (8, 16), (16, 32)):
    layers += [nn.Conv2d(a, b, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)]
see = nn.Sequential(*layers, nn.Flatten(), nn.Linear(25088, 256), nn.Linear(256, 128))
feel = nn.Sequential(nn.Linear(15, 256), nn.Linear(256, 256), nn.Linear(256, 128))
act = nn.Sequential(nn.Linear(128, 64), nn.Linear(64, 32), nn.Linear(32, 6))
assert timed.parameters(see, feel, act) == 6574958
see = see.to(memory_format=torch.channels_last)
adam = torch.optim.Adam([*see.parameters(), *feel.parameters(), *act.parameters()], lr=1e-3, eps=1e-4)
image = (torch.rand(N, 2, 224, 224) * 255).half()
obs, pos, grp = torch.randn(N, 15), torch.randn(N, 3), torch.randint(0, 3, (N,))


def step():
    adam.zero_grad(set_to_none=True)
    x = (image.float() / 255).contiguous(memory_format=torch.channels_last)
    with timed.cast():
        y = act(see(x) + feel(obs))
    y = y.float()
    (F.mse_loss(y[:, :3], pos) + F.cross_entropy(y[:, 3:], grp)).backward()
    adam.step()


timed.run("arm baseline torch", step, 20)
