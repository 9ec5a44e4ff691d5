"""A process of a peer in Python. The loop, in the same words, is in ../subject.rs, which says what is asked and answered."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "queues"))
import work as queues

HERE = os.getcwd()
OFTEN = 10**8


class Diskcache:
    """Its Index and Deque, which evict nothing, and its recipes, in a cache that does neither."""

    def __init__(self, library):
        self.index = library.Index(f"{HERE}/index")
        self.deque = library.Deque(directory=f"{HERE}/deque")
        cache = library.Cache(f"{HERE}/recipes", eviction_policy="none")
        self.a_lock = library.Lock(cache, "lock")
        self.a_semaphore = library.BoundedSemaphore(cache, "semaphore", value=4)
        self.throttled = library.throttle(cache, OFTEN, 1)(lambda: None)
        self.memoized = cache.memoize(expire=3600)(lambda key: key)

    def set(self, items):
        if len(items) > 1:
            with self.index.transact():
                for key, value in items:
                    self.index[key] = value
        else:
            for key, value in items:
                self.index[key] = value
        return len(items)

    def get(self, items):
        for key, _ in items:
            self.index[key]
        return len(items)

    def delete(self, items):
        for key, _ in items:
            del self.index[key]
        return len(items)

    def push(self, items):
        for _, value in items:
            self.deque.append(value)
        return len(items)

    def pop(self, items):
        try:
            self.deque.popleft()
        except IndexError:
            return 0
        return 1

    def lock(self, items):
        with self.a_lock:
            return 1

    def semaphore(self, items):
        with self.a_semaphore:
            return 1

    def throttle(self, items):
        self.throttled()
        return 1

    def memoize(self, items):
        for key, _ in items:
            self.memoized(key)
        return len(items)


class Rs(Diskcache):
    def __init__(self, library):
        # Its Index takes the directory by name only.
        positional = library.Index
        library.Index = lambda directory: positional(directory=directory)
        super().__init__(library)


class Queue:
    """One of ../queues: a job is pushed, claimed and completed."""

    def __init__(self, queue):
        self.queue = queue

    def job(self, items):
        self.queue.push([value for _, value in items])
        while self.queue.work(1) == 0:
            pass
        return 1


class Litequeue(Queue):
    """What is popped is marked, and done when that is said."""

    def push(self, items):
        self.queue.push([value for _, value in items])
        return len(items)

    def pop(self, items):
        return self.queue.work(1)


class PersistQueue(Queue):
    """Jobs are in its SQLiteAckQueue; what is popped from its SQLiteQueue is gone."""

    def __init__(self, queue):
        super().__init__(queue)
        from persistqueue import SQLiteQueue

        self.plain = SQLiteQueue(f"{HERE}/plain", auto_commit=True, timeout=600)
        for connection in (self.plain._getter, self.plain._putter):
            connection.execute("PRAGMA synchronous = NORMAL")

    def push(self, items):
        for _, value in items:
            self.plain.put(value)
        return len(items)

    def pop(self, items):
        from persistqueue import Empty

        try:
            self.plain.get(block=False)
        except Empty:
            return 0
        return 1


class Filelock:
    def __init__(self):
        from filelock import FileLock

        self.file = FileLock(f"{HERE}/lock")

    def lock(self, items):
        with self.file:
            return 1


def subject(name):
    match name:
        case "diskcache":
            import diskcache

            return Diskcache(diskcache)
        case "diskcache-community":
            import diskcache_community

            return Diskcache(diskcache_community)
        case "diskcache-rs":
            import diskcache_rs

            return Rs(diskcache_rs)
        case "litequeue":
            return Litequeue(queues.Litequeue(f"{HERE}/queue"))
        case "persist-queue":
            return PersistQueue(queues.PersistQueue(f"{HERE}/queue"))
        case "filelock":
            return Filelock()


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OFFSETS = 1 << 16


class Values:
    def __init__(self, size, seed):
        self.size = size
        self.state = seed
        self.text = "".join(LETTERS[self.step() % 64] for _ in range(size + OFFSETS))

    def step(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 33

    def next(self):
        offset = self.step() % OFFSETS
        return self.text[offset : offset + self.size]


def work(call, asked):
    batch, entries, again, most = asked["batch"], asked["entries"], asked["again"], asked["seconds"] * 1e9
    values = Values(asked["size"], asked["first"])
    next, step = asked["first"], asked["step"]
    latencies = Counter()
    done = 0
    begun = time.perf_counter_ns()
    while True:
        items = []
        while len(items) < batch and (again or next < entries):
            n = next * 7919 % entries if again else next
            next += step
            items.append((f"https://example.org/{n:010}", values.next()))
        if not items:
            break
        start = time.perf_counter_ns()
        found = call(items)
        end = time.perf_counter_ns()
        if found == 0:
            break
        done += found
        each = (end - start) // found
        latencies[round(each, 3 - len(str(each)))] += found  # three digits
        if end - begun > most:
            break
    took = (time.perf_counter_ns() - begun) / 1e9
    return {"items": done, "seconds": took, "latencies": list(latencies.items())}


def main(name):
    peer = subject(name)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        call = getattr(peer, asked["operation"], None)
        try:
            done = call and work(call, asked)
        except Exception as failure:
            done = {"failed": repr(failure)}
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
