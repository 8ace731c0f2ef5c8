"""Compiles every kernel for every GPU, without one: `python -m kernel_checks.compile`.

Fails where a kernel does not compile, spills registers or has a stack, and where its registers are
not those of the table beside this file, so that a change of them is seen and meant.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from streamavis_kernels.variants import VARIANTS

from kernel_checks.compiling import Usage, compile_for, nvrtc_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streamavis_kernels.launch import Variant

__all__ = ["ARCHITECTURES", "TABLE", "Table", "complaints", "main"]

# Turing, Ampere (A100, RTX 30), Ada, Hopper, Blackwell (B200, RTX 50): all that CUDA 13 knows of
# and sell today. 75 is its floor.
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
TABLE = Path(__file__).parent / "registers.json"


class Table(TypedDict):
    """Registers per thread, as a certain compiler allots them."""

    nvrtc: str
    architectures: list[int]
    registers: dict[str, list[int]]  # by variant, one for each architecture


Usages = dict["Variant", list[Usage]]


def compile_all(jobs: int) -> Usages:
    """Every variant for every architecture."""
    work = [(variant, architecture) for variant in VARIANTS for architecture in ARCHITECTURES]
    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda job: compile_for(*job), work))
    count = len(ARCHITECTURES)
    rows = (results[start : start + count] for start in range(0, len(results), count))
    return dict(zip(VARIANTS, rows, strict=True))


def table_of(usages: Usages) -> Table:
    registers = {str(variant): [u.registers for u in row] for variant, row in usages.items()}
    return {
        "nvrtc": nvrtc_version(),
        "architectures": list(ARCHITECTURES),
        "registers": registers,
    }


def complaints(usages: Mapping[Variant, list[Usage]], found: Table, kept: Table) -> Iterator[str]:
    """What is wrong, a sentence each."""
    for variant, row in usages.items():
        for architecture, usage in zip(ARCHITECTURES, row, strict=True):
            if usage.stack or usage.spills:
                yield (
                    f"{variant}, sm_{architecture}: {usage.stack} bytes of stack and "
                    f"{usage.spills} of spills, expected none"
                )
    if found["nvrtc"] != kept["nvrtc"]:
        return  # another compiler allots otherwise
    if found["architectures"] != kept["architectures"]:
        yield f"the table is for {kept['architectures']}, this check for {found['architectures']}"
        return
    for name in sorted(found["registers"].keys() | kept["registers"].keys()):
        now, then = (table["registers"].get(name) for table in (found, kept))
        if now != then:
            yield f"{name}: registers {now}, the table has {then}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="kernel_checks.compile")
    parser.add_argument("--jobs", type=int, default=2, help="compilers at a time (2)")
    parser.add_argument("--write", action="store_true", help="write the table anew")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    version = nvrtc_version()
    usages = compile_all(options.jobs)
    seconds = time.perf_counter() - start
    print(
        f"NVRTC {version}: {len(VARIANTS)} variants for sm_{', sm_'.join(map(str, ARCHITECTURES))} "
        f"in {seconds:.1f} s, at most {max(u.registers for row in usages.values() for u in row)} "
        "registers"
    )
    found = table_of(usages)
    if options.write:
        rows = (f"    {json.dumps(name)}: {row}" for name, row in found["registers"].items())
        head = f'{{\n  "nvrtc": "{version}",\n  "architectures": {list(ARCHITECTURES)},\n'
        body = ",\n".join(rows)
        TABLE.write_text(f'{head}  "registers": {{\n{body}\n  }}\n}}\n')
        print(f"wrote {TABLE}")
    kept: Table = json.loads(TABLE.read_text())
    if kept["nvrtc"] != version:
        print(f"registers not compared: the table is of NVRTC {kept['nvrtc']}")
    wrong = list(complaints(usages, found, kept))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong:
        print(
            "if the registers are meant to change: --write, and commit the table", file=sys.stderr
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
