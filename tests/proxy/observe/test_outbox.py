from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

from proxy.observe import outbox as module
from proxy.observe.outbox import Outbox


def test_lines_leave_in_their_order_and_together() -> None:
    stream = Counting()
    outbox = Outbox(stream)
    for number in range(1000):
        outbox.write(b"%d\n" % number)
    outbox.close()
    assert stream.getvalue().split() == [b"%d" % number for number in range(1000)]
    assert stream.writes < 20


class Counting(io.BytesIO):
    writes = 0

    def write(self, data: object) -> int:
        self.writes += 1
        return super().write(data)  # type: ignore[arg-type]  # bytes


def test_they_leave_without_being_asked() -> None:
    gone = threading.Event()

    class Stream(io.BytesIO):
        def flush(self) -> None:
            gone.set()

    outbox = Outbox(Stream())
    outbox.write(b"a\n")
    assert gone.wait(5)
    outbox.close()


def test_whoever_reads_nothing_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as end, os.fdopen(writing, "wb", buffering=0) as pipe:
        outbox = Outbox(pipe)  # type: ignore[arg-type]  # as much of one as is needed
        for _ in range(module.PENDING_MAX + 5000):
            outbox.write(b"x" * 99 + b"\n")  # more than a pipe takes
        drained: list[bytes] = []
        reader = threading.Thread(target=lambda: drained.extend(end))
        reader.start()
        outbox.close()
        pipe.close()
        reader.join()
    told = [line for line in drained if b"log.dropped" in line]
    dropped = module.PENDING_MAX + 5000 - (len(drained) - len(told))
    assert dropped >= 0
    assert bool(told) == bool(dropped)


def test_after_closing_a_line_is_written_at_once() -> None:
    stream = io.BytesIO()
    outbox = Outbox(stream)
    outbox.close()
    outbox.write(b"last\n")
    assert stream.getvalue() == b"last\n"


def test_a_full_disk_costs_lines_only() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        outbox = Outbox(full)  # type: ignore[arg-type]  # as much of one as is needed
        outbox.write(b"a\n")
        outbox.close()


def test_the_last_lines_of_a_program_that_fails_are_there() -> None:
    program = (
        "import sys; from proxy.observe.outbox import Outbox\n"
        "Outbox(sys.stderr.buffer).write(b'why\\n'); raise SystemExit(3)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"why\n")


def test_it_says_whether_it_is_a_terminal() -> None:
    assert not Outbox(io.BytesIO()).isatty()
