"""Mutated inputs: a result or an error for the user, soon and in little memory.

``NAPARI_DPS_FUZZ_SECONDS`` is how long each kind of input is tried (default 8), and
``NAPARI_DPS_FUZZ_SEED`` where the sequence of inputs begins. A failure names the kind,
the pick and the steps, which `test_what_was_found_stays_mended` takes as a line more.
"""

from __future__ import annotations

import json
import os
import random
import time
import warnings
from pathlib import Path

import pytest
from fuzz_cases import KINDS, Bench, random_steps
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as options
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus.json")
SECONDS = float(os.environ.get("NAPARI_DPS_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("NAPARI_DPS_FUZZ_SEED", "0"))

STEPS = st.lists(
    st.tuples(st.integers(0, 63), st.integers(0, 2**16 - 1), st.integers(0, 1023)),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile's, of how it stores planes
        return Bench(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_seeds_are_read(bench: Bench, kind: str) -> None:
    # As lazy and other stacks of 3 angles and 3 phases, each file at least once.
    assert all(KINDS[kind](bench, pick, []) for pick in range(512, 1024, 32))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_input_is_a_result_or_an_error_for_the_user(
    bench: Bench, kind: str
) -> None:
    @seed(SEED)
    @options(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(pick=st.integers(0, 2**16 - 1), steps=STEPS)
    def shrinking(pick: int, steps: list[tuple[int, int, int]]) -> None:
        KINDS[kind](bench, pick, steps)

    shrinking()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutated_inputs(
    bench: Bench, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = random.Random(f"{kind} {SEED}")
    end, count, accepted = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end:
        pick, steps = generator.randrange(2**16), random_steps(generator)
        try:
            accepted += KINDS[kind](bench, pick, steps)
        except BaseException as error:
            error.add_note(json.dumps([kind, pick, steps]))
            raise
        count += 1
    with capsys.disabled():
        print(f"\n{kind}: {count} inputs, {accepted} accepted")  # noqa: T201
    assert count > 0


@pytest.mark.parametrize("line", json.loads(CORPUS.read_text()), ids=str)
def test_what_was_found_stays_mended(bench: Bench, line: list[object]) -> None:
    kind, pick, steps = line
    KINDS[str(kind)](bench, pick, steps)  # type: ignore[arg-type]
