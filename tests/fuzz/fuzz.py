"""Runs fuzz targets for as long as wanted: `make fuzz SECONDS_EACH=600 ARGS="wire session"`.

The inputs in corpus/TARGET are tried first, and mutants of them among the others. Each input is
written to build/fuzz/TARGET.input before it is tried, so that one which ends the process can be
found; findings are kept as build/fuzz/TARGET-N.finding, with their traceback. What is fixed goes
to the corpus.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

sys.path.append(str(Path(__file__).parent))
from fuzz_targets import TARGETS, corpus
from mutation import changed_bytes

OUT = Path("build/fuzz")
SLOW_S = 5.0  # one attempt that takes longer is a finding
_OF_CORPUS = 0.1  # share of mutants that are made of the corpus


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Try mutants of one target; return the number of findings."""
    random = Random(seed)
    attempts = findings = 0
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[name](Path(folder))
        known = corpus(name)
        begin_s = time.monotonic()
        while (ran_s := time.monotonic() - begin_s) < seconds:
            if attempts < len(known):
                data = known[attempts]
            elif known and random.random() < _OF_CORPUS:
                data = changed_bytes(random.choice(known), random)
            else:
                data = target.mutant(random)
            (OUT / f"{name}.input").write_bytes(data)
            start_s = time.process_time()
            wrong = ""
            try:
                target.attempt(data)
            except Exception:
                wrong = traceback.format_exc()
            took_s = time.process_time() - start_s
            slowest_s = max(slowest_s, took_s)
            if took_s > SLOW_S:
                wrong += f"took {took_s:.1f} s"
            if wrong:
                findings += 1
                (OUT / f"{name}-{findings}.finding").write_bytes(data)
                (OUT / f"{name}-{findings}.txt").write_text(wrong)
                sys.stdout.write(f"{name}: finding {findings}: {wrong.splitlines()[-1]}\n")
            attempts += 1
    sys.stdout.write(
        f"{name}: seed {seed}, {attempts} attempts in {ran_s:.0f} s, {findings} findings, "
        f"the slowest took {slowest_s:.2f} s of CPU\n"
    )
    sys.stdout.flush()
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=[], help=f"of {', '.join(TARGETS)}; all")
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    wanted = parser.parse_args()
    unknown = set(wanted.targets) - TARGETS.keys()
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    OUT.mkdir(parents=True, exist_ok=True)
    return sum(fuzz(name, wanted.seconds, wanted.seed) for name in wanted.targets or TARGETS)


if __name__ == "__main__":
    sys.exit(main() > 0)
