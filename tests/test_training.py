"""meta_train: resumes bit for bit, stops on NaN, keeps the best weights."""

import errno
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from labkit.episode import Episode
from labkit.evaluation import task_scores
from labkit.files import NotWrittenError
from labkit.learner import Learner
from labkit.objective import meta_loss, squared_error
from labkit.randomness import TRAINING, VALIDATION, seeded
from labkit.tasks.sinusoids import Sinusoids
from labkit.training import (
    NonFiniteLossError,
    cosine,
    halving,
    meta_train,
)


@dataclass
class Lines:
    """y = a x with a slope per task; after `last` draws, y is not a number."""

    last: int = 10**9

    def sample(self, n_tasks, *, generator):
        x = torch.randn(n_tasks, 8, 1, generator=generator)
        y = x * torch.randn(n_tasks, 1, 1, generator=generator)
        self.last -= 1
        if self.last < 0:
            y = y * torch.nan
        return Episode(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:])


class ScaledMean(Learner):
    """Predicts θ · x · (mean of y/x over the support): right at θ = 1."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1))

    def adapt(self, support_x, support_y):
        return (support_y / support_x).mean(dim=1, keepdim=True)

    def predict(self, slope, query_x):
        return self.theta * slope * query_x


class InterruptionError(Exception):
    pass


@dataclass
class InterruptedLines(Lines):
    def sample(self, n_tasks, *, generator):
        self.last -= 1
        if self.last < 0:
            raise InterruptionError
        return super().sample(n_tasks, generator=generator)


def train(learner, tasks, **kwargs):
    settings: dict[str, Any] = {
        "steps": 60,
        "loss": squared_error,
        "learning_rate": 0.05,
        "seed": 3,
    }
    return meta_train(learner, tasks, **(settings | kwargs))


def test_training_finds_the_minimum_of_the_meta_objective():
    learner = ScaledMean()
    history = train(learner, Lines(), steps=300)
    assert learner.theta.item() == pytest.approx(1, abs=0.02)
    assert history.losses[-1] < history.losses[0] / 100
    assert len(history.losses) == 300


@pytest.mark.parametrize("steps_before_interruption", [1, 19, 37, 59])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, steps_before_interruption):
    validated = {"validation": Lines(), "validate_every": 9, "schedule": cosine(60)}
    whole = ScaledMean()
    history = train(whole, Lines(), **validated)

    kept = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 7, **validated}
    with pytest.raises(InterruptionError):
        train(ScaledMean(), InterruptedLines(steps_before_interruption), **kept)
    resumed = ScaledMean()
    resumed_history = train(resumed, Lines(), **kept)

    assert torch.equal(resumed.theta, whole.theta)
    assert resumed_history.losses == history.losses
    assert resumed_history.validation == history.validation


def test_a_run_begun_on_another_device_goes_on_with_tasks_of_its_own(tmp_path):
    kept = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 10}
    with pytest.raises(InterruptionError):
        train(ScaledMean(), InterruptedLines(25), **kept)
    state = torch.load(tmp_path / "run.pt")
    torch.save(state | {"device": "cuda"}, tmp_path / "run.pt")
    learner = ScaledMean()
    history = train(learner, Lines(), **kept)
    assert len(history.losses) == 60
    assert learner.theta.item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("tasks_per_chunk", [1, 2, 3, 5])
def test_chunks_of_tasks_give_the_gradient_of_all(tasks_per_chunk):
    whole, chunked = ScaledMean(), ScaledMean()
    history = train(whole, Lines(), tasks_per_step=5)
    in_chunks = train(
        chunked, Lines(), tasks_per_step=5, tasks_per_chunk=tasks_per_chunk
    )
    assert chunked.theta.item() == pytest.approx(whole.theta.item(), abs=1e-5)
    assert in_chunks.losses == pytest.approx(history.losses, abs=1e-5)


def test_another_objective_can_be_descended_on():
    def distance_to_three(learner, episode, loss):
        return (learner.theta - 3).square().sum()

    learner = ScaledMean()
    train(learner, Lines(), steps=300, objective=distance_to_three)
    assert learner.theta.item() == pytest.approx(3, abs=0.02)


def test_lower_precision_reaches_the_same_minimum():
    learner = ScaledMean()
    train(learner, Lines(), steps=300, autocast=torch.bfloat16)
    assert learner.theta.item() == pytest.approx(1, abs=0.02)


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, second = ScaledMean(), ScaledMean()
    train(first, Lines(), checkpoint=tmp_path / "run.pt")
    train(second, InterruptedLines(0), checkpoint=tmp_path / "run.pt")
    assert torch.equal(first.theta, second.theta)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(ScaledMean(), Lines(), checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"seed 3 -> 4.*Delete the file"):
        train(ScaledMean(), Lines(), checkpoint=tmp_path / "run.pt", seed=4)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    kept = {"checkpoint": tmp_path / "run.pt"}
    train(ScaledMean(), Lines(), **kept, configuration={"noise": 1.0})
    with pytest.raises(ValueError, match=r"noise 1.0 -> 3.0.*Delete the file"):
        train(ScaledMean(), Lines(), **kept, configuration={"noise": 3.0})


def test_a_distribution_that_draws_another_number_of_tasks_is_refused():
    class Eight(Lines):
        def sample(self, n_tasks, *, generator):
            return super().sample(8, generator=generator)

    with pytest.raises(ValueError, match=r"Eight.sample\(1\) drew 8 tasks"):
        train(ScaledMean(), Eight())


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = str(tmp_path / "run.pt")
    train(ScaledMean(), Lines(), checkpoint=path)
    whole = Path(path).read_bytes()
    for content in (whole[:1000], b""):
        Path(path).write_bytes(content)
        with pytest.raises(ValueError, match=r"run.pt is damaged.*Delete it"):
            train(ScaledMean(), Lines(), checkpoint=path)


def test_nan_stops_with_step_and_seed_and_spares_the_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(NonFiniteLossError, match=r"nan at step 23 \(seed 3\)"):
        train(ScaledMean(), Lines(last=23), checkpoint=path, checkpoint_every=10)
    kept = torch.load(path)
    assert kept["steps_done"] == 20
    assert torch.isfinite(kept["learner"]["theta"]).all()


def test_validation_keeps_the_best_weights_and_stops_early():
    learner = ScaledMean()
    history = train(
        learner,
        Lines(),
        steps=500,
        learning_rate=2.0,  # overshoots: later weights are worse
        validation=Lines(),
        validate_every=5,
        patience=4,
    )
    looks = [loss for _, loss in history.validation]
    assert len(history.losses) < 500
    assert looks.index(min(looks)) == len(looks) - 1 - 4
    kept = task_scores(
        learner, Lines(), score=squared_error, n_tasks=200, seed=3, stream=VALIDATION
    )
    assert kept.mean().item() == min(looks) < looks[-1]


def test_the_best_look_survives_an_interruption_after_it(tmp_path):
    settings = {"steps": 40, "learning_rate": 2.0, "validation": Lines()}
    settings |= {"validate_every": 5}
    whole = ScaledMean()
    looks = [loss for _, loss in train(whole, Lines(), **settings).validation]
    best_at = 5 * (1 + looks.index(min(looks)))
    assert best_at < 40
    kept = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": best_at, **settings}
    with pytest.raises(InterruptionError):
        train(ScaledMean(), InterruptedLines(best_at + 1), **kept)
    resumed = ScaledMean()
    train(resumed, Lines(), **kept)
    assert torch.equal(resumed.theta, whole.theta)


def test_every_look_is_at_the_same_tasks_as_many_as_asked_and_the_last_step_has_one():
    drawn = []

    class Watched(Lines):
        def sample(self, n_tasks, *, generator):
            drawn.append((n_tasks, generator.get_state()))
            return super().sample(n_tasks, generator=generator)

    history = train(
        ScaledMean(),
        Lines(),
        steps=12,
        validation=Watched(),
        validate_every=5,
        validation_tasks=10,
    )
    assert [step for step, _ in history.validation] == [5, 10, 12]
    assert [n_tasks for n_tasks, _ in drawn] == [10, 10, 10]
    assert all(torch.equal(state, drawn[0][1]) for _, state in drawn)


def test_it_trains_in_training_mode_in_the_precision_asked_for():
    seen = []

    class Watched(ScaledMean):
        def predict(self, slope, query_x):
            product = self.theta[:, None] @ query_x[..., :1, :]
            seen.append((self.training, product.dtype))
            return super().predict(slope, query_x)

    train(Watched().eval(), Lines(), steps=1, autocast=torch.bfloat16)
    assert seen == [(True, torch.bfloat16)]


@pytest.mark.parametrize(
    ("mistake", "remedy"),
    [
        ({"patience": 3}, "validation tasks: give them"),
        ({"patience": 0, "validation": Lines()}, "patience=0"),
        ({"tasks_per_step": 0}, "tasks_per_step=0"),
        ({"tasks_per_chunk": 0}, "tasks_per_chunk=0"),
        ({"steps": -3}, "steps=-3"),
        ({"validate_every": 0}, "validate_every=0"),
        ({"validation_tasks": 1}, "validation_tasks=1"),
        ({"checkpoint_every": 0}, "checkpoint_every=0"),
        ({"clip_norm": -1.0}, "clip_norm=-1"),
        ({"clip_norm": float("nan")}, "clip_norm=nan"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"seed": -1}, "seed=-1"),
        ({"autocast": torch.float64}, "autocast=torch.float64"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_the_first_step(mistake, remedy):
    with pytest.raises(ValueError, match=remedy):
        train(ScaledMean(), InterruptedLines(0), **mistake)


@pytest.mark.parametrize("schedule", [lambda: halving(0), lambda: cosine(0)])
def test_a_schedule_over_no_steps_is_refused(schedule):
    with pytest.raises(ValueError, match="=0 must be 1 or larger"):
        schedule()


def test_a_learner_that_has_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="all of them are frozen"):
        train(ScaledMean().requires_grad_(False), InterruptedLines(0))
    with pytest.raises(ValueError, match="has no parameter to train"):
        train(Learner(), InterruptedLines(0))


def test_inference_mode_is_no_place_to_train():
    with torch.inference_mode():
        made_inside = ScaledMean()
        with pytest.raises(ValueError, match="make and train it outside"):
            train(ScaledMean(), Lines())
    with pytest.raises(ValueError, match="make and train it outside"):
        train(made_inside, Lines())


def test_a_loss_that_does_not_depend_on_the_learner_is_refused():
    def score(prediction, target):
        return squared_error(prediction.detach(), target)

    with pytest.raises(ValueError, match=r"does not depend.*torch\.no_grad"):
        train(ScaledMean(), Lines(), loss=score)


def test_clipping_bounds_the_gradient_that_reaches_the_optimizer():
    learner = ScaledMean()
    train(learner, Lines(), steps=1, clip_norm=1e-3)
    assert learner.theta.grad.norm() <= 1e-3 * (1 + 1e-6)


def test_schedules():
    assert [halving(10)(step) for step in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    assert cosine(8)(0) == 1
    assert cosine(8)(4) == pytest.approx(0.5)
    assert cosine(8)(8) == cosine(8)(9) == pytest.approx(0)


def test_training_draws_its_tasks_from_its_seed_alone():
    torch.manual_seed(0)
    first = train(ScaledMean(), Lines(), steps=5)
    torch.manual_seed(1)
    second = train(ScaledMean(), Lines(), steps=5)
    assert first.losses == second.losses
    tasks = Lines().sample(1, generator=seeded(3, TRAINING))
    assert first.losses[0] == tasks.query_y.square().mean().item()  # θ = 0 predicts 0


class Dropped(ScaledMean):
    """With dropout, and noise from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.dropout, self.noise = nn.Dropout(0.3), seeded(5)

    def predict(self, slope, query_x):
        noise = torch.randn(query_x.shape, generator=self.noise)
        return super().predict(slope, self.dropout(query_x) + 0.1 * noise)


def test_equal_seeds_are_equal_runs_with_dropout_too_and_the_caller_notices_nothing():
    torch.manual_seed(0)
    before, thetas = torch.get_rng_state(), []
    for seed in (3, 3, 4):
        learner = Dropped()
        train(learner, Lines(), seed=seed)
        thetas.append(learner.theta.item())
        assert torch.equal(before, torch.get_rng_state())
        torch.rand(7)  # the caller goes on drawing
        before = torch.get_rng_state()
    assert thetas[0] == thetas[1] != thetas[2]


@pytest.mark.parametrize("steps_before_interruption", [15, 37])
def test_a_run_with_dropout_resumes_bit_for_bit(tmp_path, steps_before_interruption):
    validated = {"validation": Lines(), "validate_every": 9}
    whole = Dropped()
    train(whole, Lines(), **validated)
    kept = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 7, **validated}
    with pytest.raises(InterruptionError):
        train(Dropped(), InterruptedLines(steps_before_interruption), **kept)
    torch.rand(11)
    resumed = Dropped()
    train(resumed, Lines(), **kept)
    assert torch.equal(resumed.theta, whole.theta)


def test_looks_at_validation_tasks_change_no_step():
    alone, looked_at = Dropped(), Dropped()
    history = train(alone, Lines(), steps=20)
    looks = {"validation": Lines(), "validate_every": 2}
    assert train(looked_at, Lines(), steps=20, **looks).losses == history.losses


def doubled(prediction, target, factor=2.0):
    return factor * squared_error(prediction, target)


@dataclass
class Steep(Lines):
    slope: float = 1.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"loss": doubled}, r"loss .*squared_error -> .*doubled"),
        ({"objective": lambda *args: meta_loss(*args)}, "objective "),
        ({"schedule": halving(20)}, r"schedule.every 10 -> 20"),
        ({"autocast": torch.bfloat16}, "autocast None -> torch.bfloat16"),
        ({"tasks": Steep(slope=2.0)}, r"tasks.slope 1.0 -> 2.0"),
        ({"tasks": Sinusoids(5, 5)}, r"tasks .*Steep.* -> .*Sinusoids"),
        ({"learner": Dropped()}, r"learner .*ScaledMean -> .*Dropped"),
        ({"learner": ScaledMean().double()}, r"theta float32\[1\] -> float64"),
        ({"configuration": {"noise": 1}}, "noise not there -> 1"),
        ({"validation": Lines()}, "validat"),
    ],
)
def test_a_checkpoint_of_a_training_made_otherwise_is_refused(tmp_path, change, told):
    settings = {
        "learner": ScaledMean(),
        "tasks": Steep(),
        "loss": squared_error,
        "schedule": halving(10),
        "checkpoint": tmp_path / "run.pt",
        "steps": 10,
    }
    meta_train(**settings)
    with pytest.raises(ValueError, match=f"{told}.*Delete the file"):
        meta_train(**settings | change)


class NaNGradient(ScaledMean):
    """The square root of 0 at one step: 0 is its value, NaN its gradient."""

    def __init__(self, at):
        super().__init__()
        self.at, self.asked = at, 0

    def predict(self, slope, query_x):
        self.asked += 1
        zero = 0 * self.theta if self.asked == self.at else 0 * self.theta + 1
        return super().predict(slope, query_x) + 0 * zero.sqrt()


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("at", [20, 23, 60])
def test_a_gradient_that_is_nan_is_told_and_never_saved(tmp_path, at, clip_norm):
    path = tmp_path / "run.pt"
    settings = {"checkpoint": path, "checkpoint_every": 10, "clip_norm": clip_norm}
    with pytest.raises(NonFiniteLossError, match=r"theta|loss is nan"):
        train(NaNGradient(at), Lines(), **settings)
    kept = torch.load(path)
    assert kept["steps_done"] == (at - 1) // 10 * 10
    assert torch.isfinite(kept["learner"]["theta"]).all()


def test_moments_that_overflow_are_told():
    def steep(prediction, target):
        return 1e25 * squared_error(prediction, target)

    with pytest.raises(NonFiniteLossError, match=r"Adam's exp_avg_sq of theta"):
        train(ScaledMean(), Lines(), loss=steep, steps=5)


@pytest.mark.parametrize(
    "content",
    [
        {"theta": torch.zeros(1)},
        {"learner": {}, "steps_done": 3},
        [1, 2],
        torch.zeros(3),
    ],
)
def test_a_file_that_is_no_checkpoint_is_told_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"weights.pt is no unfinished training"):
        train(ScaledMean(), Lines(), checkpoint=path)
    assert path.read_bytes() == before


def test_a_flipped_bit_in_a_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "run.pt"
    train(ScaledMean(), Lines(), checkpoint=path, steps=500)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = next(i for i in archive.infolist() if i.filename.endswith("data/0"))
    # the theta of 4 bytes, behind a header, its own name and what fills up the line
    header = place.header_offset
    padding = int.from_bytes(content[header + 28 : header + 30], "little")
    content[header + 30 + len(place.filename) + padding] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run.pt is damaged"):
        train(ScaledMean(), Lines(), checkpoint=path, steps=500)


def test_a_folder_in_place_of_a_checkpoint_is_not_to_be_deleted(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint \(Is a dir"):
        train(ScaledMean(), Lines(), checkpoint=tmp_path)


def test_a_full_disk_is_told_and_the_checkpoint_before_it_is_whole(
    tmp_path, monkeypatch
):
    path = tmp_path / "run.pt"
    with pytest.raises(InterruptionError):
        train(ScaledMean(), InterruptedLines(25), checkpoint=path, checkpoint_every=10)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(NotWrittenError, match=r"No space left.*is as it was"):
        train(ScaledMean(), Lines(), checkpoint=path, checkpoint_every=10)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_two_trainings_of_one_name_do_not_disturb_each_other(tmp_path):
    kept = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 1}
    with ThreadPoolExecutor(2) as pool:
        both = pool.map(lambda _: train(ScaledMean(), Lines(), **kept), range(2))
        assert [len(history.losses) for history in both] == [60, 60]
    assert [*tmp_path.iterdir()] == [tmp_path / "run.pt"]
