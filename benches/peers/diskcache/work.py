"""A process of the benchmark, on diskcache. The other side, in the same words, is work.rs."""

import json
import sys
import time
from collections import Counter

try:
    from diskcache import Cache
except ModuleNotFoundError:
    from diskcache_community import Cache

KEYS = 100
WARM_UP = 1000


def numbers(seed):
    """The same for both sides."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def work(directory, number, operations):
    cache = Cache(directory)
    random = numbers(number + 1)
    print("ready", flush=True)
    sys.stdin.readline()
    latencies = {name: Counter() for name in ("get", "set", "delete")}
    misses = Counter()
    for n in range(operations):
        key = str(next(random) % KEYS).encode()
        value = str(n).encode() * (1 + next(random) % 99)
        choice = next(random) % 1000
        if choice < 900:
            name, call = "get", lambda: cache.get(key) is not None
        elif choice < 990:
            name, call = "set", lambda: cache.set(key, value)
        else:
            name, call = "delete", lambda: cache.delete(key)
        start = time.perf_counter_ns()
        found = call()
        took = time.perf_counter_ns() - start
        if n > WARM_UP:
            latencies[name][took] += 1
            misses[name] += not found
    report = {name: [misses[name], list(took.items())] for name, took in latencies.items()}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    directory, number, operations = sys.argv[1:]
    if number == "fill":
        with Cache(directory) as cache:
            for key in range(KEYS):
                cache.set(str(key).encode(), str(key).encode())
    else:
        work(directory, int(number), int(operations))
