"""Labelled windows drawn from simulated scenarios: training's, and those held out."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import torch
from torch import Tensor

from saafe.errors import InputError
from saafe.recipes import Recipe
from saafe.sensors import CHANNEL_NAMES, FIRE, NORMAL, NUISANCE
from saafe.simulator import VISIBLE, Mix, Streams, devices, gather, simulation
from saafe.threads import Workers, all_threads
from saafe.training.distributed import World, part_numbers, share
from saafe.windows import SPAN

BALANCE = 0.25  # of training's nuisances, see `Mix`: chosen, so that the rare ones are learnt too
PART_STREAMS = 128  # scenarios simulated at once
TRAIN_HOURS = 3.0  # length of a training stream: a window and a little more
TRAIN_SENSORS = 4  # views of each scenario: twice as many cost a quarter more
BLOCK = 24_000  # windows made and shuffled at once; the named tiers' epochs are one block
AHEAD = 2  # blocks that other threads make while one is trained on
CLASS_SHARES = {NORMAL: 0.35, NUISANCE: 0.35, FIRE: 0.30}  # of the training windows
FRESH_SHARE = 0.5  # of fires and nuisances lately became visible; the others are of any age
EARLIEST = 20  # step of its stream at which a window may end; it knows what came before
HISTORY_PARTS = (90, 180, 370, SPAN - 1)  # steps where parts begin that classes share alike
SHORT_SHARE = 0.1  # of windows know less than their stream has shown, as after an outage
LONE_JUMPS = 50.0  # how much more often a normal moment is shown at which a reading jumps
MINUTE = 6  # in steps of 10 s
MOST_REPEATED = 3.0  # times that a pattern of channels, or a part, counts for more where rare
SHORTEST_BINS, HALF_SPAN = 2, SPAN // 2
SEEDS, SEED_PARTS = 2**31, 1_000_003  # of a data set, see `seeded_generator`
MOST_PARTS = 990_000  # Chosen: of a training; its ranks may make as many more as they are
# the exam's reference mix: risk is the probability of fire under it
REFERENCE_MIX = {NORMAL: 0.5, NUISANCE: 0.3, FIRE: 0.2}


class Purpose(IntEnum):
    """What random numbers are for: what trains never validates, calibrates, sets or examines."""

    TRAIN = 0
    HELD_OUT = 1
    QUIET = 2  # thresholds, on streams without nuisances
    DENSE = 3  # thresholds, on streams with them
    SHUFFLE = 4
    JUDGE = 5  # exam, in training's rooms
    SHIFTED = 6  # exam, in other rooms
    EXAM = 7  # exam, on continuous streams; its seed is an option
    TUNE = 8  # a trained model, on homes and beside them
    OVER_DAYS = 9  # thresholds, over homes that it was tuned on
    HELD_DAYS = 10  # fires on days that it was not


@dataclass(frozen=True)
class WindowSet:
    """Windows with their labels."""

    windows: Tensor  # (window, 60, 1, channel), NaN where missing
    labels: Tensor  # int64 (window,)
    group: Tensor  # scenario of each, which never straddles a split. int64 (window,)

    def rows(self, index: slice | Tensor) -> "WindowSet":
        """Some of the windows."""
        return WindowSet(self.windows[index], self.labels[index], self.group[index])

    def to(self, device: torch.device) -> "WindowSet":
        """The same on another device."""
        return WindowSet(*(part.to(device) for part in (self.windows, self.labels, self.group)))


WINDOW_COLUMNS = tuple(field.name for field in fields(WindowSet))


def seeded_generator(
    seed: int, purpose: Purpose, part: int, device: torch.device
) -> torch.Generator:
    """A generator of its own for one part of one data set.

    Seeds under 2^31, parts under 1,000,003 and 64 purposes share no number: purposes beyond the
    eighth lie in blocks of their own, 2^40 apart.
    """
    assert 0 <= seed < SEEDS, f"seed {seed} would share numbers"
    assert 0 <= part < SEED_PARTS, f"part {part} would share numbers"
    block, purpose_in_block = divmod(int(purpose), 8)
    place = seed * 8 + purpose_in_block + block * 2**40
    generator = torch.Generator(device=device)
    generator.manual_seed(place * SEED_PARTS + part)
    return generator


def sample_windows(
    streams: Streams,
    count: int,
    generator: torch.Generator,
    *,
    shares: dict[int, float] = CLASS_SHARES,
    evenly: bool = False,
) -> WindowSet:
    """Draw labelled windows, classes mixed, so that only the readings tell the classes apart.

    Every class gets the same mix of history lengths and of missing channels, else a model
    could read the class off them. Nine windows of ten know all that their stream has shown.

    Args:
        streams: what the windows are cut from.
        count: how many windows.
        generator: of the draws.
        shares: of the classes, training's by default.
        evenly: whether moments are drawn evenly in time. Else all events count alike, however long
            they last: half of an event's moments are drawn evenly, and half more often soon after
            it has become visible.
    """
    device = streams.readings.device
    lengths = torch.rand(count, generator=generator, device=device)
    log_length = math.log(SHORTEST_BINS) + lengths * math.log(HALF_SPAN / SHORTEST_BINS)
    length = log_length.exp().long()
    length[int(SHORT_SHARE * count) :] = SPAN
    label, chosen = pick_windows(streams, count, generator, shares, evenly=evenly)
    stream, end, sensor = chosen.unbind(1)
    windows = gather(streams.readings, stream, end, sensor, end - length + 1)
    return WindowSet(windows, label, stream)


def pick_windows(
    streams: Streams,
    count: int,
    generator: torch.Generator,
    shares: dict[int, float],
    *,
    evenly: bool,
) -> tuple[Tensor, Tensor]:
    """Labels (count,) and (stream, end, sensor) (count, 3) of windows."""
    labels = streams.labels.where(streams.reported, -1)
    labels[:, :EARLIEST] = -1
    present = ~torch.isnan(streams.readings).all(dim=1)  # (n, sensor, channel)
    bits = 2 ** torch.arange(present.shape[-1], device=labels.device)
    pattern = (present * bits).sum(dim=-1)  # (n, sensor)
    patterns = 2 ** present.shape[-1]
    often = streams.reported.float().mean(dim=1)  # (n, sensor)
    everywhere = torch.bincount(pattern.flatten(), minlength=patterns).float()
    steps = torch.arange(labels.shape[1], device=labels.device)
    part = torch.bucketize(steps, steps.new_tensor(HISTORY_PARTS), right=True)
    part_steps = torch.bincount(part[EARLIEST:], minlength=len(HISTORY_PARTS) + 1).float()
    out_labels, out_places = [], []
    found = {kind: (labels == kind).nonzero() for kind in shares}
    # a handful of scenarios may lack a class: the others take its share
    wanted = {k: p for k, p in shares.items() if len(found[k])}
    assert wanted, "no scenario shows anything: simulate more"
    left, whole = count, sum(wanted.values())
    for kind, portion in wanted.items():
        places = found[kind]
        number = left if kind == list(wanted)[-1] else round(portion / whole * count)
        left -= number
        which = pattern[places[:, 0], places[:, 2]]
        weight = 1.0 / often[places[:, 0], places[:, 2]]  # all sensors alike
        sensor = places[:, 0] * streams.readings.shape[2] + places[:, 2]
        if kind != NORMAL and not evenly:
            fresh = freshness(streams.labels == kind, places, often)
            each = FRESH_SHARE * fresh / mean_by(fresh, sensor) + (1.0 - FRESH_SHARE)
            weight = each / torch.bincount(sensor)[sensor]
        if kind == NORMAL and not evenly:
            oftener = 1.0 + LONE_JUMPS * jumped(streams.readings, places)
            weight = weight * oftener / mean_by(oftener, sensor)  # noisy sensors get no more
        weight = evened(weight, part[places[:, 1]], part_steps)
        weight = evened(weight, which, everywhere)
        # multinomial takes at most 2^24 categories; cumulative search takes any number
        total = weight.double().cumsum(0)
        at = torch.rand(number, generator=generator, device=labels.device, dtype=torch.float64)
        index = torch.searchsorted(total, at * total[-1]).clamp(max=len(places) - 1)
        out_places.append(places[index])
        out_labels.append(torch.full((number,), kind, device=labels.device))
    places = torch.cat(out_places)
    order = torch.randperm(count, generator=generator, device=labels.device)
    return torch.cat(out_labels)[order], places[order]


def evened(weight: Tensor, group: Tensor, shares: Tensor) -> Tensor:
    """Weights (place,) whose groups, int64 (place,), sum up as `shares` (group,) say.

    None counts more than `MOST_REPEATED` times as much for it: a group that a class hardly has
    would show one window over and over.
    """
    here = weight.new_zeros(len(shares)).index_add_(0, group, weight)
    lacking = shares / shares.sum() * here.sum() / here.clamp(min=1e-9)
    return weight * lacking.clamp(max=MOST_REPEATED)[group]


def freshness(is_kind: Tensor, places: Tensor, often: Tensor) -> Tensor:
    """Weight of windows by how lately what they show became visible: early ones decide. (place,)

    Fires and nuisances are weighted alike, so that age alone says nothing. A sensor's first report
    of it has no age, however long its period. (age + 30 s)^-1 of the run, up to a constant.

    Args:
        is_kind: whether the label is this kind. bool (n, time, sensor)
        places: stream, end and sensor. int64 (place, 3)
        often: share of the steps at which each sensor reports. (n, sensor)
    """
    index = torch.arange(is_kind.shape[1], device=is_kind.device).view(1, -1, 1)
    began = torch.where(is_kind, -1, index).cummax(dim=1).values  # last step before the run
    stream, end, sensor = places.unbind(1)
    age = end - began[stream, end, sensor] - 1
    period = (1.0 / often[stream, sensor]).round()
    return 1.0 / (3.0 + (age / period).floor() * period)


def jumped(readings: Tensor, places: Tensor) -> Tensor:
    """1 where a channel stands above what it showed a minute before, else 0. (place,)

    By what makes an event visible, for no reason; places as in `freshness`.
    """
    stream, end, sensor = places.unbind(1)
    now, before = (readings[stream, end - ago, sensor] for ago in (0, MINUTE))
    rise = now - before  # NaN is no rise
    return torch.stack([rise[:, c] > by for c, by in VISIBLE.items()]).any(dim=0).float()


def mean_by(values: Tensor, group: Tensor) -> Tensor:
    """Mean of the values of each one's group. (n,)"""
    count = torch.bincount(group).clamp(min=1)
    return (values.new_zeros(len(count)).index_add_(0, group, values) / count)[group]


def for_device(recipe: Recipe, device: str | devices.Device | None) -> Recipe:
    """The recipe that trains for a device; its whole table, so that a run folder stands alone.

    Args:
        recipe: of a tier.
        device: a name of the catalogue, the path of a device file, or a Device; None and
            "anything" change nothing.

    Raises:
        InputError: the name or the file is no device.
    """
    if device is None or device == devices.ANYTHING:
        return recipe
    return replace(recipe, device_file=devices.to_toml(devices.load_device(device)))


def to_train_for(recipe: Recipe, device: str | devices.Device | None) -> Recipe:
    """`for_device`, for a device that a detector can learn from, and a training that has seeds.

    Raises:
        InputError: as there, or no fire shows on any of its channels; or epochs of more streams
            than there are seeds for.
    """
    told = for_device(recipe, device)
    if (parts := parts_of_training(told)) > MOST_PARTS:
        raise InputError(
            f"epochs = {told.epochs}, streams = {told.streams}: {parts:,} parts of {PART_STREAMS} "
            f"streams in all, allowed are {MOST_PARTS:,}; lower one of them, or raise passes"
        )
    made, shows = device_of(told), [CHANNEL_NAMES[channel] for channel in VISIBLE]
    if isinstance(made, devices.Device) and not made.channels.keys() & set(shows):
        raise InputError(
            f"device {made.name}: no fire shows on what it measures ({', '.join(made.channels)}); "
            f"a detector needs one of {', '.join(shows)}"
        )
    return told


def device_of(recipe: Recipe) -> devices.Device | str:
    """The device that a recipe trains for, as a mix takes it."""
    return devices.device_from_text(recipe.device_file) if recipe.device_file else devices.ANYTHING


def training_mix(recipe: Recipe) -> Mix:
    """What a recipe learns from: its device, or the general mix of devices and of any kind."""
    device = device_of(recipe) if recipe.device_file else devices.GENERAL
    return Mix(device=device, balance=BALANCE)


def longest_pause_of(recipe: Recipe) -> float:
    """For how long a healthy sensor of a recipe's device may say nothing; 0 without one. [s]"""
    device = device_of(recipe)
    return device.longest_interval_s if isinstance(device, devices.Device) else 0.0


def parts_of(streams: float) -> int:
    """How many parts a number of scenarios is simulated in."""
    return max(1, round(streams / PART_STREAMS))


def make_part(
    seed: int,
    purpose: Purpose,
    part: int,
    count: int,
    device: torch.device,
    mix: Mix | None = None,
    *,
    reference: bool = False,
) -> WindowSet:
    """Windows of some scenarios that no other purpose, part or seed shares.

    By training's shares of the classes, without young fires; for `reference` of `REFERENCE_MIX`,
    with them, drawn evenly in time.
    """
    generator = seeded_generator(seed, purpose, part, device)
    streams = simulation.simulate_streams(
        PART_STREAMS, generator=generator, hours=TRAIN_HOURS, sensors=TRAIN_SENSORS, mix=mix,
        young=not reference,
    )  # fmt: skip
    shares = REFERENCE_MIX if reference else CLASS_SHARES
    drawn = sample_windows(streams, count, generator, shares=shares, evenly=reference)
    return WindowSet(drawn.windows, drawn.labels, drawn.group + PART_STREAMS * part)


def join_windows(sets: Sequence[WindowSet]) -> WindowSet:
    """Several sets as one, one after the other."""
    return WindowSet(*(torch.cat([getattr(one, name) for one in sets]) for name in WINDOW_COLUMNS))


def share_windows(parts: Sequence[WindowSet], world: World) -> list[WindowSet]:
    """Every rank's parts, in one order on every rank."""
    columns = (share([getattr(part, name) for part in parts], world) for name in WINDOW_COLUMNS)
    return [WindowSet(*row) for row in zip(*columns, strict=True)]


def blocks_of(recipe: Recipe) -> int:
    """How many blocks an epoch is made and shuffled in: memory holds no more than a few."""
    return math.ceil(recipe.windows / max(BLOCK, 8 * recipe.batch))


def parts_of_training(recipe: Recipe) -> int:
    """How many parts all epochs take, and no fewer than blocks that are shuffled: numbers of seeds.

    See `block_later`.
    """
    blocks = blocks_of(recipe)
    new = recipe.new_epochs * blocks * parts_of(recipe.streams / blocks)
    return max(new, recipe.epochs * blocks)


def steps_of(recipe: Recipe) -> int:
    """Optimizer steps an epoch; what fills no batch at the end of a block is left out."""
    blocks = blocks_of(recipe)
    return blocks * (recipe.windows // blocks // recipe.batch)


def epoch_windows(recipe: Recipe, epoch: int, device: torch.device, world: World) -> WindowSet:
    """The training windows of an epoch that brings new ones.

    Ranks share the making of its parts, and all get the same set, so that it does not depend on
    how many ranks there are.
    """
    blocks = blocks_of(recipe)
    with Workers(all_threads(device)) as workers:
        made = [
            block_later(recipe, blocks * epoch + k, device, world, workers)() for k in range(blocks)
        ]
    return join_windows(made)


def block_later(
    recipe: Recipe, block: int, device: torch.device, world: World, workers: Workers
) -> Callable[[], WindowSet]:
    """Have a block of windows, counted from the first epoch on, made; the result waits for it."""
    blocks = blocks_of(recipe)
    wanted, parts = recipe.windows // blocks, parts_of(recipe.streams / blocks)
    mix = training_mix(recipe)
    mine = [
        workers.later(
            make_part,
            recipe.seed,
            Purpose.TRAIN,
            parts * block + part,
            math.ceil(wanted / parts),
            device,
            mix=mix,
        )
        for part in part_numbers(parts, world)
    ]

    def collect() -> WindowSet:
        whole = join_windows(share_windows([part() for part in mine], world)[:parts])
        # a batch mixes the parts
        shuffle = seeded_generator(recipe.seed, Purpose.SHUFFLE, block, device)
        order = torch.randperm(len(whole.labels), generator=shuffle, device=device)
        return whole.rows(order[:wanted])

    return collect


def blocks_ahead(
    recipe: Recipe, epoch: int, device: torch.device, world: World, workers: Workers
) -> Iterator[WindowSet]:
    """The blocks of every epoch from `epoch` on, while the next ones are being made.

    Where windows are shown again they are all kept, and made once more for a fit that is resumed.
    """
    blocks = blocks_of(recipe)
    begin, new, end = (blocks * k for k in (epoch, recipe.new_epochs, recipe.epochs))
    again = end > new
    first = 0 if again else begin
    coming: deque[Callable[[], WindowSet]] = deque()
    kept: list[WindowSet] = []
    for block in range(first, new):
        last = min(block + AHEAD, new - 1) if workers else block
        for wanted in range(block + len(coming), last + 1):
            coming.append(block_later(recipe, wanted, device, world, workers))
        made = coming.popleft()()
        if again:
            kept.append(made)
        if block >= begin:
            yield made
    if not again:
        return
    whole = join_windows(kept)
    kept.clear()
    for block in range(max(begin, new), end):
        yield whole.rows(rows_shown_again(recipe, block, len(whole.labels), device))


def rows_shown_again(recipe: Recipe, block: int, count: int, device: torch.device) -> Tensor:
    """Which of `count` kept windows a block beyond the new ones shows. int64 (window,)

    A pass shows each once, in an order of its own.
    """
    new = recipe.new_epochs * blocks_of(recipe)
    size, place = count // new, block % new
    shuffle = seeded_generator(recipe.seed, Purpose.SHUFFLE, block - place, device)
    order = torch.randperm(count, generator=shuffle, device=device)
    return order[place * size : (place + 1) * size]


def held_out_windows(
    recipe: Recipe, device: torch.device, workers: Workers | None = None
) -> WindowSet:
    """Windows of scenarios that training never sees, twelve of each where 128 or more are held out.

    They are of the reference mix, drawn evenly in time: risk is calibrated on them.
    """
    workers = workers or Workers(0)
    parts, count = parts_of(recipe.held_out), 12 * min(recipe.held_out, PART_STREAMS)
    mix = replace(training_mix(recipe), balance=Mix.balance)
    made = [
        workers.later(
            make_part, recipe.seed, Purpose.HELD_OUT, part, count, device, mix, reference=True
        )
        for part in range(parts)
    ]
    return join_windows([part() for part in made])
