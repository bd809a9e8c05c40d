"""What a client may ask of the model server, so that its memory and time stay bounded."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; per worker where it is not per connection or request."""

    max_body: int = 64 * MIB
    """Largest request body, also after decompression: beyond it 413."""
    max_bodies: int = 512 * MIB
    """Sum of the bodies held at one moment by a worker: beyond it 503."""
    max_headers: int = 32 * 1024
    """Request line and headers together: beyond it 431."""
    max_connections: int = 16384
    """Open connections of a worker: for a further one those that were idle for longest are closed, and
    where there are none, it is answered 503."""
    max_queued: int = 256
    """Requests waiting for one revision: beyond it 503, where its endpoint says nothing else."""
    max_batch: int = 64
    """Rows that are run together, where the endpoint says nothing else."""
    timeout: float = 60.0
    """Beyond it 504, where the endpoint says nothing else."""
    max_models: int = 4096 * MIB
    """Sum of the models in memory, of all workers: beyond it those that were asked least lately go."""
    max_memory: int | None = None
    """Data of all workers together; what asks for more fails. Null: three quarters of the machine's."""
    check_first: int = 64 * 1024
    """A body longer than this is refused by its headers (token, path) before it is read."""
    head_time: float = 15.0
    """From the first byte of a request to the end of its headers: beyond it 408."""
    body_time: float = 30.0
    """Time allowed for a body beyond what ``body_rate`` gives it: beyond it 408."""
    body_rate: int = 16 * 1024
    """Bytes a second that a sender of a large body has to keep up."""
    idle_time: float = 120.0
    """A connection without a request is closed after this."""
    write_time: float = 30.0
    """A client that takes no byte of its answer for this long is dropped."""
    linger_time: float = 2.0
    """How long the rest of a refused request is read and thrown away before closing."""
    drain_time: float = 10.0
    """How long requests in flight may take to end at shutdown."""
