"""Both fuzzers (``make fuzz``): libFuzzer over the firmware core, and Hypothesis over the host's
session. ``python tools/fuzz.py --seconds 60 [--coverage]`` gives each of them so long.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tests" / "firmware" / "fuzz"
BUILD = ROOT / "build" / "fuzz"
COVERAGE = ROOT / "build" / "fuzz-coverage"
CORPUS = BUILD / "corpus"
LONGEST_INPUT = 420
SESSION_TEST = ROOT / "tests" / "link" / "test_stateful.py"


def build(folder: Path, *options: str) -> Path:
    subprocess.run(
        ["cmake", "-S", SOURCES, "-B", folder, "-DCMAKE_CXX_COMPILER=clang++", *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    subprocess.run(["cmake", "--build", folder, "--parallel"], check=True)
    return folder / "fuzz_board"


def fuzz_core(seconds: int) -> int:
    """libFuzzer from the corpus in the tree, the vectors and what earlier runs found."""
    fuzzer = build(BUILD)
    vectors = ROOT / "protocol" / "vectors.json"
    subprocess.run([sys.executable, SOURCES / "make_corpus.py", vectors, CORPUS], check=True)
    return subprocess.run(
        [
            *(fuzzer, CORPUS, SOURCES / "corpus"),
            *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}"),
            *("-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={BUILD}/"),
        ],
        check=False,
    ).returncode


def show_coverage() -> None:
    """Lines and branches of the core that the corpus reaches, by llvm-cov."""
    runner = build(COVERAGE, "-DCOVERAGE=ON")
    raw, profile = COVERAGE / "fuzz.profraw", COVERAGE / "fuzz.profdata"
    subprocess.run(
        [runner, "-runs=0", CORPUS, SOURCES / "corpus"],
        check=True,
        env=os.environ | {"LLVM_PROFILE_FILE": str(raw)},
        stderr=subprocess.DEVNULL,
    )
    subprocess.run(["llvm-profdata", "merge", "-o", profile, raw], check=True)
    core = sorted((ROOT / "firmware" / "core" / "src").glob("*"))
    report = ["llvm-cov", "report", runner, f"-instr-profile={profile}"]
    subprocess.run([*report, "--show-region-summary=false", *core], check=True)


def fuzz_session(seconds: int) -> int:
    """Hypothesis over the host's session."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rP", "-k", "make_fuzz", SESSION_TEST],
        check=False,
        env=os.environ | {"FUZZ_SECONDS": str(seconds)},
        cwd=ROOT,
    ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(
        description="libFuzzer over the core, Hypothesis over the host"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each of the two")
    parser.add_argument("--coverage", action="store_true", help="show what the corpus reaches")
    options = parser.parse_args()
    failed = 0
    if shutil.which("clang++") is None:
        print("libFuzzer is skipped: it needs clang (Debian: apt install clang libclang-rt-14-dev)")
    else:
        failed = fuzz_core(options.seconds)
        if options.coverage:
            show_coverage()
    return failed or fuzz_session(options.seconds)


if __name__ == "__main__":
    sys.exit(main())
