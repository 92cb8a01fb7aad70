import time

import numpy as np
import pytest

from regforest.evaluation import PatientBootstrap


def values_and_owners(seed=0, patients=30):
    rng = np.random.default_rng(seed)
    owners = [f"p{i:02d}" for i in range(patients) for _ in range(rng.integers(1, 9))]
    return rng.gamma(2, 5, len(owners)), owners


def slow_resamples(boot, values, owners, statistic):
    """Statistic of every resample, by really repeating each patient's values as often as it was drawn."""
    by_patient = {p: [v for v, o in zip(values, owners, strict=True) if o == p] for p in boot.patients}
    results = []
    for times in boot._weights.astype(int):
        drawn = [v for p, n in zip(boot.patients, times, strict=True) for v in by_patient[p] * n]
        results.append(statistic(drawn))
    return np.percentile(results, [2.5, 97.5])


@pytest.mark.parametrize(("name", "statistic"), [("mean", np.mean), ("median", np.median)])
def test_intervals_equal_those_of_explicit_resampling(name, statistic):
    values, owners = values_and_owners()
    boot = PatientBootstrap(owners, resamples=300, seed=3)
    assert getattr(boot, name)(values, owners) == pytest.approx(slow_resamples(boot, values, owners, statistic))


def test_each_resample_draws_as_many_patients_as_there_are():
    boot = PatientBootstrap([f"p{i}" for i in range(17)], resamples=50)
    assert (boot._weights.sum(axis=1) == 17).all()


def test_one_seed_gives_one_interval_whatever_the_order_of_the_rows():
    values, owners = values_and_owners()
    order = np.random.default_rng(1).permutation(len(values))
    first = PatientBootstrap(owners, seed=5).median(values, owners)
    shuffled = [owners[i] for i in order]
    assert PatientBootstrap(shuffled, seed=5).median(values[order], shuffled) == first
    assert PatientBootstrap(owners, seed=6).median(values, owners) != first


def test_values_that_agree_within_patients_give_wider_intervals_than_independent_ones():
    rng = np.random.default_rng(0)
    owners = [f"p{i}" for i in range(20) for _ in range(10)]
    shared = np.repeat(rng.normal(size=20), 10)
    alone = [f"v{i}" for i in range(200)]
    low, high = PatientBootstrap(owners).mean(shared, owners)
    low_alone, high_alone = PatientBootstrap(alone).mean(shared, alone)
    assert high - low > 2.5 * (high_alone - low_alone)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    owners = [f"p{i}" for i in range(40)]
    hits = 0
    for seed in range(200):
        low, high = PatientBootstrap(owners, resamples=400, seed=seed).mean(rng.normal(1.0, 1.0, 40), owners)
        hits += low <= 1.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_a_single_patient_or_none_gives_no_interval():
    assert PatientBootstrap(["a"]).mean([1.0, 2.0], ["a", "a"]) is None
    assert PatientBootstrap(["a", "b"]).median([1.0, 2.0], ["a", "a"]) is None
    assert PatientBootstrap([]).mean([], []) is None


def test_patients_without_a_value_make_resamples_smaller_not_undefined():
    boot = PatientBootstrap(["a", "b", "c", "d", "e", "f"], resamples=2000)
    low, high = boot.mean([0.0, 1.0], ["a", "b"])
    assert (low, high) == (0.0, 1.0)


def test_hundreds_of_patients_take_well_under_a_second():
    values, owners = values_and_owners(patients=400)
    start = time.perf_counter()
    boot = PatientBootstrap(owners, resamples=2000)
    boot.mean(values, owners)
    boot.median(values, owners)
    assert time.perf_counter() - start < 2
