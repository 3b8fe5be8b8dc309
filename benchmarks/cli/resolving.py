"""Print what one `resolve()` costs in a process that has done it before: microseconds of CPU, the median of batches."""

import statistics
import time

from keystead.client import Client

BATCHES = 40
CALLS = 50


def main() -> None:
    client = Client.local()

    def batch() -> float:
        start = time.process_time_ns()
        for _ in range(CALLS):
            client.resolve()
        return (time.process_time_ns() - start) / CALLS / 1000

    batch()
    print(statistics.median(batch() for _ in range(BATCHES)))


if __name__ == "__main__":
    main()
