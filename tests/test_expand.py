from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from conftest import DIGITS, make_catalog, make_job, make_planned
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError, ConfigError, DeviceError, UnknownNameError
from bench.execution.data import without
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.estimate import Past, estimator
from bench.plan.expand import Planned, expand
from bench.plan.job import Job
from bench.plan.task import TASKS, Work
from bench.tasks.cost import _GUESS_S


def plan(block: dict[str, Any], *, catalog: Any = None, **top: Any) -> tuple[Planned, ...]:
    names = [str(n) for n in block["grid"]["arch"]]
    return expand(Experiment.parse({"blocks": [block], **top}), catalog or make_catalog(*names))


ALONE = {"least": 1, "most": 1}
INFER = {
    "task": "infer",
    "processes": ALONE,
    "grid": {"arch": ["a", "b"], "batch_size": [1, {"cpu": 4, "cuda": 64}]},
}


def test_the_grid_multiplies_in_the_order_written() -> None:
    jobs = [p.job for p in plan(INFER)]
    assert [(j.arch, j.settings.batch_size) for j in jobs] == [("a", 1), ("a", 4), ("b", 1), ("b", 4)]
    assert {j.settings.device for j in jobs} == {"cpu"}
    assert {j.settings.threads for j in jobs} == {2}


def test_a_time_is_planned_in_several_processes() -> None:
    (one,) = {p.processes for p in plan({**INFER, "processes": {"least": 3, "most": 5}})}
    assert one is not None
    assert (one.least, one.most) == (3, 5)
    jobs = [p.job for p in plan({**INFER, "processes": {"least": 3, "most": 5}})]
    assert [j.settings.replicate for j in jobs] == [0, 1, 2] * 4
    assert len({j.series() for j in jobs}) == 4
    assert all("processes" not in j.settings.content for j in jobs)


def test_a_time_of_one_process_has_no_number() -> None:
    assert all("replicate" not in p.job.settings.content and p.processes is None for p in plan(INFER))


def test_numbers_that_are_given_are_all_there_are() -> None:
    planned = plan({"task": "infer", "grid": {"arch": ["a"], "replicate": [4, 7]}})
    assert [p.job.settings.replicate for p in planned] == [4, 7]
    assert all(p.processes is None for p in planned)


def test_what_is_skipped_is_skipped_once() -> None:
    planned = plan({"task": "infer", "grid": {"arch": ["a"]}}, skip=[{"arch": "a"}])
    assert [p.status for p in planned] == ["skipped"]


def test_most_processes_are_no_fewer_than_the_least() -> None:
    with pytest.raises(ConfigError, match="most"):
        plan({**INFER, "processes": {"least": 3, "most": 2}})


def test_values_differ_by_device() -> None:
    catalog = make_catalog("a", "b", devices=("cpu", "cuda:0"))
    jobs = [p.job for p in plan(INFER, catalog=catalog)]
    assert [j.settings.batch_size for j in jobs] == [1, 64, 1, 64]
    assert {j.settings.device for j in jobs} == {"cuda:0"}


@pytest.mark.parametrize(("asked", "skipped"), [("cuda", 2), ("cuda:0", 2), ("cuda:1", 0), ("cpu", 0)])
def test_a_kind_of_device_is_skipped_whichever_its_number(asked: str, skipped: int) -> None:
    catalog = make_catalog("a", "b", devices=("cpu", "cuda:0"))
    block = {"task": "infer", "device": "cuda", "grid": {"arch": ["a", "b"]}}
    experiment = Experiment.parse({"blocks": [block], "skip": [{"device": asked}]})
    assert [p.status for p in expand(experiment, catalog)].count("skipped") == skipped


def test_a_pattern_stands_for_its_networks_in_its_place() -> None:
    cards = tuple(ArchCard(name=n, input_size=32, num_classes=10) for n in ("r1", "r2"))
    catalog = make_catalog("a", archs={"a": make_catalog("a").archs["a"], "r*": cards})
    block = {"task": "infer", "processes": ALONE, "grid": {"arch": ["r*", "a"], "batch_size": [1, 2]}}
    jobs = [p.job for p in plan(block, catalog=catalog)]
    assert [(j.arch, j.settings.batch_size) for j in jobs] == [
        (n, b) for n in ("r1", "r2", "a") for b in (1, 2)
    ]


def test_a_nested_value_differs_by_device() -> None:
    block = {"task": "infer", "timing": {"limit_s": {"cpu": 2, "cuda": 5}}, "grid": {"arch": ["a"]}}
    assert plan(block)[0].job.settings.timing.limit_s == 2


def test_a_job_asked_for_twice_is_planned_once() -> None:
    block = {"task": "cost", "grid": {"arch": ["a", "a"]}}
    assert len(plan(block)) == 1


def test_images_to_calibrate_on_that_are_not_known_are_told_before_any_job() -> None:
    catalog = make_catalog("a", datasets={"digits": DIGITS})
    block = {"task": "infer", "precision": "int8", "grid": {"arch": ["a"]}}
    for known in ("digits", "imagefolder:x"):
        assert plan({**block, "calibration": known}, catalog=catalog)
    with pytest.raises(UnknownNameError, match="unknown data set 'digitz'"):
        plan({**block, "calibration": "digitz"}, catalog=catalog)


def test_native_and_given_shapes() -> None:
    card = ArchCard(name="a", input_size=227, in_channels=3, num_classes=1000)
    catalog = make_catalog(archs={"a": (card,)})
    native = plan({"task": "cost", "grid": {"arch": ["a"]}}, catalog=catalog)[0].job
    assert (native.input_size, native.in_channels, native.num_classes) == (227, 3, 1000)
    given_ = plan(
        {"task": "cost", "input_size": 64, "num_classes": 5, "grid": {"arch": ["a"]}}, catalog=catalog
    )[0].job
    assert (given_.input_size, given_.in_channels, given_.num_classes) == (64, 3, 5)


def test_a_training_takes_the_shape_of_its_data() -> None:
    block = {"task": "accuracy", "epochs": 3, "grid": {"arch": ["a"]}}
    card = ArchCard(name="a", min_input=16)
    job = plan(block, catalog=make_catalog(archs={"a": (card,)}))[0].job
    assert (job.input_size, job.in_channels, job.num_classes) == (
        16,
        1,
        10,
    )  # 8 px digits are below the least input
    assert job.settings.epochs == 3
    assert job.settings.recipe.name == "std"
    fixed = ArchCard(name="a", any_channels=False)
    assert plan(block, catalog=make_catalog(archs={"a": (fixed,)}))[0].job.in_channels == 3


@pytest.mark.parametrize(
    ("images", "native", "least", "expected"),
    [
        (28, 32, 16, 32),  # MNIST and LeNet-5
        (32, 32, 1, 32),
        (8, 32, 1, 8),  # digits
        (8, 32, 16, 16),
        (160, 224, 1, 160),
        (200, 224, 1, 224),
        (64, 32, 1, 64),
    ],
)
def test_images_are_enlarged_a_little_to_the_native_size(
    images: int, native: int, least: int, expected: int
) -> None:
    card = ArchCard(name="a", input_size=native, min_input=least)
    datasets = {"digits": replace(DIGITS, size=images)}
    block: dict[str, Any] = {"task": "accuracy", "grid": {"arch": ["a"]}}
    catalog = make_catalog(archs={"a": (card,)}, datasets=datasets)
    assert plan(block, catalog=catalog)[0].job.input_size == expected
    assert plan({**block, "input_size": 40}, catalog=catalog)[0].job.input_size == 40


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("std", {"pad": 3, "flip": True, "cutout": 0}),
        ("std(augment.pad=0,augment.flip=false)", {"pad": 0, "flip": False, "cutout": 0}),
        ("std(augment.cutout=2)", {"pad": 3, "flip": True, "cutout": 2}),
    ],
)
def test_a_training_says_how_its_images_are_changed(recipe: str, expected: dict[str, Any]) -> None:
    card = replace(DIGITS, pad=3, flip=True)
    block = {"task": "accuracy", "recipe": recipe, "grid": {"arch": ["a"]}}
    job = plan(block, catalog=make_catalog("a", datasets={"digits": card}))[0].job
    assert job.settings.augment == expected


def test_other_augmentation_is_another_job() -> None:
    block = {"task": "accuracy", "grid": {"arch": ["a"]}}
    ids = {
        plan(block, catalog=make_catalog("a", datasets={"digits": replace(DIGITS, pad=pad)}))[0].job.id
        for pad in (0, 0, 1)
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", 0, "blocks[0].batch_size: input should be greater than or equal to 1, got 0"),
        ("batch_size", "many", "blocks[0].batch_size"),
        ("precision", "fp8", "blocks[0].precision"),
        ("timing", {"limit": 3}, "unknown key blocks[0].timing.limit"),
        ("timing", {"limit_s": -1}, "blocks[0].timing.limit_s"),
        ("timing", {"min_s": math.inf}, "blocks[0].timing.min_s: input should be a finite number, got inf"),
        ("processes", {"leas": 3}, "unknown key blocks[0].processes.leas"),
        ("processes", 2, "blocks[0].processes has keys of its own, got 2"),
        ("timing", {"interval": 3}, "unknown key blocks[0].timing.interval"),  # which begins as a type does
        ("input_size", 0, "blocks[0].input_size"),
        ("batch_size", {"cuda": 4}, "blocks[0].batch_size: no value for device cpu"),
    ],
)
def test_bad_values_name_their_path(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan({"task": "infer", key: value, "grid": {"arch": ["a"]}})
    assert message in caught.value.message
    assert caught.value.tip


@pytest.mark.parametrize(
    ("key", "value", "tip"),
    [
        ("timing", {"limit": 3}, "did you mean limit_s?"),
        ("processes", {"leas": 3}, "did you mean least?"),
        (
            "processes",
            2,
            "set them one by one: processes.least, processes.most, processes.within, processes.grant_s",
        ),
        ("processes", {"x": 3}, "known: least, most, within, grant_s"),
    ],
)
def test_an_unknown_key_within_a_key_names_the_nearest(key: str, value: Any, tip: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan({"task": "infer", key: value, "grid": {"arch": ["a"]}})
    assert caught.value.tip == tip


def test_a_missing_device_says_what_is_there_and_what_to_do() -> None:
    with pytest.raises(DeviceError) as caught:
        plan(
            {"task": "infer", "device": "cuda", "grid": {"arch": ["a"]}},
            catalog=make_catalog("a", no_cuda="no driver"),
        )
    assert "this machine has only cpu (no driver)" in caught.value.message
    assert "device=cpu" in str(caught.value.tip)


@pytest.mark.parametrize("device", ["gpu", "cuda0", "tpu"])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match="unknown device|only cpu"):
        plan({"task": "infer", "device": device, "grid": {"arch": ["a"]}})


def test_unknown_data_sets_are_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        plan({"task": "accuracy", "dataset": "digit", "grid": {"arch": ["a"]}})
    assert "digits" in str(caught.value.tip)


def test_what_cannot_be_done_is_known_beforehand() -> None:
    small = ArchCard(name="a", min_input=63)
    planned = plan(
        {"task": "cost", "input_size": 32, "grid": {"arch": ["a"]}},
        catalog=make_catalog(archs={"a": (small,)}),
    )
    assert planned[0].status == "unsupported"
    assert planned[0].reason == "a needs at least 63 px, asked for 32 px"
    module = ArchCard(name="a", num_classes=None)
    planned = plan(
        {"task": "accuracy", "grid": {"arch": ["a"]}}, catalog=make_catalog(archs={"a": (module,)})
    )
    assert planned[0].status == "unsupported"


def test_skips_match_exactly() -> None:
    planned = plan(INFER, skip=[{"arch": "b", "batch_size": 4}])
    assert [p.status for p in planned] == [None, None, None, "skipped"]


def test_a_job_id_is_its_content() -> None:
    job = make_job(settings={"batch_size": 8})
    assert job.id == Job.from_json(job.to_json()).id
    assert len(job.id) == 12
    assert job.id != make_job(settings={"batch_size": 9}).id
    assert job.id != make_job(settings={"batch_size": 8}, source_sha256="ab").id


@given(
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.none()), max_size=4)
)
def test_the_order_of_settings_does_not_matter(settings: dict[str, Any]) -> None:
    backwards = dict(reversed(settings.items()))
    assert make_job(settings=settings).id == make_job(settings=backwards).id


def test_estimates_come_from_the_most_alike() -> None:
    one = make_planned(task="infer", settings={"batch_size": 1})
    other_batch = make_planned(task="infer", settings={"batch_size": 8})
    other_arch = make_planned(task="infer", arch="b", settings={"batch_size": 1})
    third = make_planned(task="infer", arch="c", settings={"batch_size": 1})
    estimate = estimator([Past(one.job, one.card, 3.0), Past(third.job, third.card, 5.0)] * 10_000)
    assert estimate(one) == 3.0
    mean = (3.0 + 5.0) / 2  # of the task at the same batch size
    assert estimate(other_arch) == pytest.approx(mean, rel=1e-3)
    rule = TASKS.get("infer").estimate
    assert estimate(other_batch) == pytest.approx(
        mean * rule(other_batch.job, Work()) / rule(one.job, Work()), rel=1e-3
    )
    assert estimator([])(make_planned()) == _GUESS_S


def test_all_errors_of_the_plan_are_bench_errors() -> None:
    with pytest.raises(BenchError, match="no architecture is named"):
        expand(Experiment.parse({"blocks": [{"task": "cost"}]}), make_catalog())


def test_the_shipped_gpu_experiment_plans_on_a_gpu() -> None:
    experiment = Experiment.load("gpu")
    names = dict.fromkeys(name for block in experiment.blocks for name in block.archs)
    catalog = make_catalog(
        *names, devices=("cpu", "cuda:0"), backends=("cuda_graph", "compiled", "eager", "onnx")
    )
    jobs = [p.job for p in expand(experiment, catalog)]
    assert {j.settings.given.get("device", "cuda:0") for j in jobs} == {"cuda:0"}
    assert {j.settings.precision for j in jobs if j.task == "ceiling"} == {"fp32", "tf32", "bf16", "fp16"}
    timed = [j for j in jobs if j.task == "infer"]
    assert Counter(j.arch for j in timed) == dict.fromkeys(
        (j.arch for j in timed), 2 * 3
    )  # batches, processes


def test_unknown_backends_are_refused_where_backends_are_known() -> None:
    block = {"task": "infer", "backend": "compield", "grid": {"arch": ["a"]}}
    with pytest.raises(UnknownNameError) as caught:
        plan(block, catalog=make_catalog("a", backends=("compiled", "eager")))
    assert "compiled" in str(caught.value.tip)
    assert plan(block)[0].job.settings.backend == "compield"  # the job itself will say


def test_the_largest_batch_can_be_asked_for() -> None:
    job = plan({"task": "infer", "batch_size": "max", "grid": {"arch": ["a"]}})[0].job
    assert job.settings.batch_size == "max"
    assert not {"batch_limit", "energy_s"} & set(
        job.settings.content
    )  # defaults are not part of what was asked
    job = plan({"task": "infer", "batch_size": "max", "batch_limit": 8, "grid": {"arch": ["a"]}})[0].job
    assert job.settings.batch_limit == 8


def test_cudnn_benchmark_is_part_of_a_job_where_it_is_on() -> None:
    block = {"task": "infer", "processes": ALONE, "grid": {"arch": ["a"]}}
    plain = plan(block)[0].job
    off, on = (p.job for p in plan({**block, "grid": {"arch": ["a"], "cudnn_benchmark": [False, True]}}))
    assert off.id == plain.id
    assert on.settings.content == {**plain.settings.content, "cudnn_benchmark": True}
    assert on.label() == f"{plain.label()} cudnn_benchmark"


@pytest.mark.parametrize(("old", "new"), [("bf16", "amp_bf16"), ("fp16", "amp_fp16"), ("tf32", "tf32")])
def test_16_bits_of_a_short_training_are_autocast_by_either_name(old: str, new: str) -> None:
    one, other = (
        plan({"task": "accuracy", "precision": name, "grid": {"arch": ["a"]}})[0].job for name in (old, new)
    )
    assert one.id == other.id  # that of runs before there was the new name
    assert one.settings.precision == other.settings.precision == new
    assert one.content()["settings"]["precision"] == old


def test_a_job_needs_every_data_set_that_it_names() -> None:
    named = {"data": "imagenette", "calibration": "digits"}
    job = Job(task="of_another_version", arch="a", input_size=8, settings=named)  # type: ignore[arg-type]
    planned = Planned(job=job, card=ArchCard(name="a"), timeout_s=1.0)
    assert set(planned.datasets) == {"imagenette", "digits"}
    (refused,) = without([planned], {"digits": BenchError("gone", "look")})
    assert (refused.status, refused.reason) == ("unsupported", "gone")
