"""What the training peers share: a step repeated and timed, one JSON line.

Arguments of a peer: threads (2), rounds, and `bf16` for autocast."""
import time
t_start = time.perf_counter()
import contextlib, json, resource, statistics, sys
import torch

bf16 = "bf16" in sys.argv
numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
torch.manual_seed(0)
torch.set_num_threads(numbers[0] if numbers else 2)


def cast():
    return torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()


def run(what, step, rounds):
    step()
    first = time.perf_counter() - t_start
    times = []
    for _ in range(numbers[1] if len(numbers) > 1 else rounds):
        t = time.perf_counter()
        step()
        times.append((time.perf_counter() - t) * 1e3)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"what": what + (" bf16" if bf16 else ""), "min_ms": min(times), "first_step_s": first,
                      "median_ms": statistics.median(times), "rss_mib": memory}), flush=True)


def parameters(*modules):
    return sum(p.numel() for m in modules for p in m.parameters())
