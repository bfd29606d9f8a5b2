"""Doubts: codes that travel with a measurement, explained in this one place."""

from __future__ import annotations

from collections.abc import Iterable

FLAGS: dict[str, str] = {
    "noisy": "the 95 % interval of the median is wider than ±5 % of it",
    "few_samples": "fewer samples than an interval of the median needs (6); of one process alone, none is shown",
    "unsteady": "the warm-up reached its limit before two successive windows agreed",
    "uncounted_ops": "operations that may multiply were left uncounted; the detail names them",
    "counters_disagree": "the two counters of multiply-accumulates differ by more than 1 %",
    "data_dependent": "the network looks at values of the image; the count is for a black one",
    "unknown_field": "an operator without a rule stands behind the last layer whose receptive field is known, if any "
    "is; the detail names it",
    "beyond_image": "the receptive field is larger than the image, as if that had no borders; a unit sees no more than "
    "all of the image",
    "partial": "the network failed before its end; the detail has what was counted until then",
    "uncounted": "the network could not be counted; the detail says why",
    "side_by_side": "other trainings ran beside this one, on cores of their own; alone it may be faster",
    "contended": "other work kept this process waiting for a core (more than 2 % of its runnable time)",
    "stolen": "the host gave more than 2 % of the machine's time to others",
    "swapping": "the machine swapped memory during the measurement",
    "throttled": "the GPU was slowed down by heat, by its hardware or by a power brake during the measurement",
    "power_capped": "the card ran at its power limit and lowered its clock, as it does under full load; "
    "at another limit it would be another number",
    "clock_varied": "the GPU's clock changed by more than 5 % during the measurement, neither for power nor for heat",
    "shared_device": "another process came to the GPU during the measurement, or computed on it",
    "launch_bound": "launching took as long as the GPU's work: the host, not the network, sets the pace",
    "beside_stream": "the network gives work to streams of its own that its call does not wait for: the time of a call "
    "among others is without it",
    "on_threads": "the network calls its layers on several threads at once: which of them a time is of is open",
    "idle_between": "the device had nothing to do for more than a tenth of the pass that measured energy: without the "
    "pauses, an image takes less",
    "launch_blocking": "CUDA_LAUNCH_BLOCKING made the host wait for each kernel: unset it to time the network",
    "resumed": "the job was interrupted and went on from where it was; its times are not comparable",
    "missed": "the target accuracy was not reached in the epochs given; the detail has the best",
    "assumed_transform": "nothing declares how images are brought to this network: the usual size, crop and "
    "normalisation of ImageNet were taken; the detail has them, and bench evaluate --explain tries others",
    "assumed_classes": "which output means which class is taken by their order alone; the detail says why",
    "several_weights": "the checkpoint holds several sets of weights, such as plain and averaged ones (EMA): the "
    "detail has which were taken, and weights='FILE#KEY' takes others",
    "random_weights": "nothing gave these parameters, or some of them, their values: another seed draws others; the "
    "detail names them, and --weights FILE loads what was trained",
    "answers_vary": "asked twice about the same images, the network said something else, as one does whose dropout is "
    "left on, or that changes images at random, or draws its answer: the accuracy is one draw of many; the detail has "
    "how many answers were others",
    "images_left_out": "some images could not be decoded and are left out; the table of those left out names them",
    "unobserved": "it could not be looked at; the training is not affected, and the detail says why",
    "few_steps": "timed over fewer than 10 steps of a short training: a rough number",
    "differs": "the backend's outputs differ from eager's beyond the tolerance; the detail has by how much",
    "not_compared": "all outputs are zero, as of a last layer that begins at zero, or the same for all images, as of "
    "weights that were never trained: agreement with eager says nothing",
    "calibrated_on_noise": "the ranges of 8-bit integers were taken on seeded noise, not on images: what is left of an "
    "accuracy is open; --set calibration=DATASET names images to take them on",
    "other_precision": "fewer than half of the engine's operators that multiply run in the precision of the row (the "
    "detail has how many run in which), or the network keeps more than half of its numbers in another",
    "fewer_threads": "the engine has fewer threads than the row says, or leaves all but one idle where eager does not",
    "other_layout": "the images lie in another layout than the engine takes: each call converts them",
    "traced_branch": "the network takes values of its images into Python, to choose its way or to compute with, and "
    "the engine was made by tracing, which keeps what they were of one image; of others it may say something else. "
    "torch.where and torch.cond choose inside the graph",
    "saturated": "more than 5 % of the values of a quantised tensor lie beyond its range, or the CPU adds products of "
    "8-bit integers in 16 bits, which overflow; the detail names the tensors",
    "with_preparation": "what compiling or exporting left behind in the process is in this memory",
    "not_deterministic": "two eager calls on the same images differ, so a backend cannot be compared with them, and "
    "which work was timed is open",
    "changes_itself": "a forward pass changes the network's own parameters or buffers: each call is of another network",
    "changes_images": "a forward pass overwrites the images that it is given: calls after the first are of other "
    "images; begin it with x = x.clone(), or leave out the operator that works in place",
    "training_form": "the network comes with a fused form for inference; this is of the form that is trained, as it "
    "was built: --set reparam=yes takes the other",
    "conditions_reset": "the network's file sets threads, precision or the like; it was measured under the row's own "
    "conditions, and the record's environment has what was set back",
    "conditions_changed": "the network changed threads, precision or the like while it ran; the detail has how",
    "not_finite": "some outputs are infinite or not a number in this precision; the time stands, the results do not",
    "at_limit": "the largest batch that was to be tried fits; a larger one may fit as well",
    "at_index_limit": "a larger batch failed although memory was left: no kernel is for tensors so large",
    "cut_short": "the search ended at a failure that was not for want of memory; the detail names it",
    "outside_allocator": "memory held outside torch's allocator, or in a CUDA graph's own pool, is not in it",
    "shared_process": "the memory high-water mark is of a process that had already done other work",
    # Of rows about each other, see bench.analysis.plausibility.
    "other_input": "the two networks were given images of different sizes; --set input_size=N gives both the same",
    "larger_but_faster": "more parameters, MACs and activations than another network of its family, in less time",
    "slower_without_waiting": "a step among others took longer than a call of the same batch that is waited for",
    "batch_costs_throughput": "clearly fewer images a second than at batch 1, at equal settings",
    "backward_too_fast": "the backward pass took less than a third of the forward pass, which does half its work",
    "above_roofline": "faster than this machine's own ceiling of matrix products and memory; up to 2.25 times it may "
    "be Winograd's algorithm, by which a 3 x 3 convolution takes fewer products than are counted",
    "memory_below_weights": "the peak of memory is smaller than the weights alone",
    "below_chance": "the accuracy is below that of guessing",
    "top5_below_top1": "fewer labels among the first five than in the first place",
    # Of a cell of a table, see bench.analysis.flags.
    "one_process": "timed in one process alone: its interval says nothing of the next one",
}

_TOLD = frozenset(
    {
        *("beyond_image", "conditions_reset", "training_form", "power_capped", "not_compared"),
        *("at_limit", "at_index_limit", "unobserved", "missed", "images_left_out", "several_weights"),
    }
)
"""What is told of a number and is no doubt about it."""


OF_OTHERS = frozenset({"contended", "stolen", "shared_device"})
"""Doubts that somebody else's work gives rise to, which may be gone later."""


def doubts(flags: Iterable[str]) -> tuple[str, ...]:
    """Return those flags for which a number is not called the best of others."""
    return tuple(flag for flag in flags if flag not in _TOLD)


def spoken(*flags: str) -> str:
    """Return ``noisy, one process``."""
    return ", ".join(flag.replace("_", " ") for flag in flags)


NOISY = 0.05
"""A number is noisy where half of its 95 % interval is wider than this share of it."""

OF_SAMPLES = frozenset({"noisy", "few_samples", "unsteady"})
"""Doubts that a process's own samples give rise to: where there are several processes, no doubts about their time."""


def joined_flags(flags: Iterable[Iterable[str]], *, several: bool, wide: bool) -> tuple[str, ...]:
    """Return the flags of a number over processes, each once.

    Args:
        flags: of each process.
        several: whether its interval is over several of them: then what the samples of one are like is no doubt.
        wide: whether that interval is wide, which makes it `noisy`.
    """
    kept = [flag for each in flags for flag in each if not (several and flag in OF_SAMPLES)]
    return tuple(dict.fromkeys([*kept, *(["noisy"] * wide)]))


def explain(flag: str) -> str:
    """Return one sentence for a flag; an unknown one is returned as it is."""
    return FLAGS.get(flag, flag)
