"""A process of the benchmark, on a queue of Python. The other side, in the same words, is work.rs."""

import atexit
import json
import os
import sys
import time

PRUNE = 1000


class Litequeue:
    def __init__(self, path):
        from litequeue import LiteQueue

        # It is at synchronous = NORMAL by itself.
        self.queue = LiteQueue(path, timeout=600)
        self.done = 0

    def push(self, jobs):
        if len(jobs) == 1:
            self.queue.put(jobs[0])
        else:
            with self.queue.transaction():
                for job in jobs:
                    self.queue.put(job)

    def work(self, most):
        """It claims one at a time; but what is done can be said of many at once."""
        claims = []
        while len(claims) < most and (claim := self.queue.pop()) is not None:
            claims.append(claim.message_id)
        if len(claims) == 1:
            self.queue.done(claims[0])
        elif claims:
            with self.queue.transaction():
                for claim in claims:
                    self.queue.done(claim)
        self.done += len(claims)
        if self.done >= PRUNE:
            self.queue.prune()
            self.done = 0
        return len(claims)


class PersistQueue:
    def __init__(self, path):
        from persistqueue import SQLiteAckQueue

        self.queue = SQLiteAckQueue(path, auto_resume=False, timeout=600)
        for connection in (self.queue._getter, self.queue._putter):
            connection.execute("PRAGMA synchronous = NORMAL")
        self.done = 0

    def push(self, jobs):
        for job in jobs:
            self.queue.put(job)

    def work(self, most):
        from persistqueue import Empty

        try:
            job = self.queue.get(block=False, raw=True)
        except Empty:
            return 0
        self.queue.ack(id=job["pqid"])
        self.done += 1
        if self.done >= PRUNE:
            self.queue.clear_acked_data(max_delete=2 * PRUNE, keep_latest=0)
            self.done = 0
        return 1


class Huey:
    def __init__(self, path):
        from huey.storage import SqliteStorage

        self.storage = SqliteStorage(filename=path, timeout=600)
        self.storage.conn.execute("PRAGMA synchronous = NORMAL")

    def push(self, jobs):
        for job in jobs:
            self.storage.enqueue(job.encode())

    def work(self, most):
        """A job is gone as soon as somebody has it: there is nothing to complete."""
        return 0 if self.storage.dequeue() is None else 1


class Procrastinate:
    """On PostgreSQL. What is done is deleted, as on the other side."""

    def __init__(self, path):
        from asyncio import new_event_loop

        from procrastinate import App, PsycopgConnector

        # One connection; the pool's own threads would only cost.
        connector = PsycopgConnector(conninfo=os.environ["PEERS_POSTGRES"], min_size=1, max_size=1)
        self.app = App(connector=connector)
        self.loop = new_event_loop()
        self.run(self.app.open_async())
        if not self.run(self.app.check_connection_async()):
            self.run(self.app.schema_manager.apply_schema_async())
        self.worker = self.run(self.app.job_manager.register_worker())
        # Else the connection pool complains at the end.
        atexit.register(lambda: self.run(self.app.close_async()))

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def push(self, jobs):
        from procrastinate.jobs import Job

        jobs = [
            Job(queue="q", lock=None, queueing_lock=None, task_name="t", task_kwargs={"job": job})
            for job in jobs
        ]
        manager = self.app.job_manager
        if len(jobs) == 1:
            self.run(manager.defer_job_async(jobs[0]))
        else:
            self.run(manager.batch_defer_jobs_async(jobs))

    def work(self, most):
        from procrastinate.jobs import Status

        manager = self.app.job_manager
        job = self.run(manager.fetch_job(queues=None, worker_id=self.worker))
        if job is None:
            return 0
        self.run(manager.finish_job(job, Status.SUCCEEDED, delete_job=True))
        return 1


QUEUES = {
    "litequeue": Litequeue,
    "persist-queue": PersistQueue,
    "huey": Huey,
    "procrastinate": Procrastinate,
}


def main(peer, directory, number, phase, jobs, batch):
    queue = QUEUES[peer](f"{directory}/{peer}")
    number, jobs, batch = int(number), int(jobs), int(batch)
    print("ready", flush=True)
    sys.stdin.readline()
    done, begin = 0, time.time()
    if phase == "push":
        while done < jobs:
            first, some = number * jobs + done, min(batch, jobs - done)
            queue.push([f"{job:030}" for job in range(first, first + some)])
            done += some
    else:
        while (some := queue.work(batch)) > 0:
            done += some
    print(json.dumps({"done": done, "begin": begin, "end": time.time()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
