"""``python -m benchmarks [--quick]``: every benchmark in turn, as Markdown on stdout."""

import argparse

from benchmarks import start, status

REPORTS = (start.report, status.report)


def main() -> None:
    """Print one table after the other."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="hacli beside its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer runs, below a minute")
    quick = parser.parse_args().quick
    for report in REPORTS:
        for line in report(quick=quick):
            print(line, flush=True)


if __name__ == "__main__":
    main()
