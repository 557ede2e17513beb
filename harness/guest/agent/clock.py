"""What a restored guest must be given: the time, and its own randomness.

Every guest restored from one state wakes with the clock and the random pool of the moment it was saved.
"""

from __future__ import annotations

import fcntl
import struct
import time

RNDADDENTROPY = 0x40085203  # linux/random.h, _IOW('R', 0x03, int[2])
RNDRESEEDCRNG = 0x5207  # linux/random.h, _IO('R', 0x07)


def set_clock(time_ns: int) -> None:
    """Set CLOCK_REALTIME to nanoseconds since the epoch."""
    time.clock_settime_ns(time.CLOCK_REALTIME, time_ns)


def feed_entropy(entropy: bytes) -> None:
    """Mix `entropy` into the kernel's pool, credit it, and reseed the generator from it (random(4))."""
    request = struct.pack("ii", len(entropy) * 8, len(entropy)) + entropy
    with open("/dev/urandom", "wb", buffering=0) as device:
        fcntl.ioctl(device, RNDADDENTROPY, request)
        fcntl.ioctl(device, RNDRESEEDCRNG)
