"""No metric takes a number that is not finite, and none can be added that does.

Every public function and method of `train.metrics` and `train.adversarial.frechet_loss` that takes numbers has an
example below. Each number of an example in turn becomes NaN, infinite, and negatively infinite.
"""

import dataclasses
import importlib
import inspect
import math
import pkgutil
import re

import numpy as np
import pytest
import torch
from torch import nn

from mirrorgan.backbones import BackboneFeatures
from tests.conftest import TinyBackbone
from train import metrics
from train.adversarial import frechet_loss as moments
from train.metrics import (
    NotFiniteError,
    anatomy,
    attention,
    check_finite,
    colour,
    diversity,
    frechet,
    inception,
    nearest,
    networks,
    placement,
    redescription,
    retrieval,
)

NAN, INF = math.nan, math.inf
MODULES = [importlib.import_module(f"train.metrics.{found.name}") for found in pkgutil.iter_modules(metrics.__path__)]
NUMBERS = re.compile(r"Tensor|ndarray|float|Box|Statistics|Peaks|Probes|Detector|Mapping\[NGram")
"""What an annotation says of a parameter that holds numbers."""


def public():
    """Every public function and method that is defined in the metrics' files and takes numbers, by name."""
    found = {}
    for module in [metrics, *MODULES, moments]:
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(thing):
                found[f"{module.__name__.removeprefix('train.')}.{name}"] = thing
            elif inspect.isclass(thing):
                for method, value in vars(thing).items():
                    function = getattr(value, "__func__", value)
                    if not method.startswith("_") and inspect.isfunction(function):
                        found[f"{module.__name__.removeprefix('train.')}.{name}.{method}"] = function
    return {
        name: function
        for name, function in found.items()
        if any(
            NUMBERS.search(str(parameter.annotation))
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "self"
        )
    }


def rand(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(3)) + 0.1


def features(count=6, channels=3):
    return rand(count, channels) * torch.arange(1, count + 1)[:, None]


class Parts(TinyBackbone):
    part_names = ("beak", "eye")

    def forward(self, images):
        found = super().forward(images)
        return BackboneFeatures(found.levels, found.pooled, found.levels[1][:, :2].sigmoid())


class Extractor(nn.Module):
    """In the place of torch-fidelity's."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 5)

    def forward(self, pictures):
        return (pictures.float().mean(dim=(2, 3))[:, [0, 1, 2, 0]],)


def network(kind):
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    made.name = "toy"
    made.trunk, made.extractor = TinyBackbone(), Extractor()
    made.weight, made.bias = rand(5, 8), rand(5)
    return made


def measured():
    known = moments.FrechetLoss(4, 3)
    known.fit(rand(20, 4), rand(20, 3))
    known.distance(rand(6, 4), rand(6, 3))
    known.update()
    return known


def updated(points):
    known = measured()
    before = {name: value.clone() for name, value in known.state_dict().items()}
    known._waiting.append(points)
    try:
        known.update()
    finally:
        if not points.isfinite().all():
            assert all(torch.equal(value, before[name]) for name, value in known.state_dict().items())


def statistics_of(values):
    known = frechet.FeatureStatistics(values.shape[1])
    before = known.mean.clone()
    try:
        known.update(values)
    finally:
        if not values.isfinite().all():
            assert known.count == 0 and torch.equal(known.mean, before)


def distance_of(mean, scatter):
    known = frechet.FeatureStatistics.of(features())
    known.mean, known._scatter = mean, scatter
    return frechet.frechet_distance(known, frechet.FeatureStatistics.of(features()))


def probes_of(**parts):
    return colour.ColourProbes(("red", "blue"), **parts)


def detector(threshold=0.1, faint=0.05, weight=None, bias=None):
    weight, bias = rand(3).double() if weight is None else weight, torch.tensor(0.5) if bias is None else bias
    return anatomy.HeadDetector(anatomy.Ridge(weight, bias.double()), threshold, faint, 5)


def ridge_of(penalty, total, products):
    return anatomy.NormalEquations(8, total, products).ridge(penalty)


CAPTIONS = [["a", "red", "bird"], ["a", "blue", "bird"]] * 3
SENTENCES = {"candidates": [["a", "b"], ["a", "c"]], "references": [[["a", "b", "d"]], [["a", "c", "d"]]]}
PROBES = {"mean": rand(3).double(), "scale": rand(3).double(), "weight": rand(2, 3).double(), "bias": rand(2).double()}
PEAKS = {"values": rand(4, 2), "points": rand(4, 2, 2)}
POINTS = rand(4, 2) / 2
PIXELS = rand(2, 32, 32, 3) * 255
EQUATIONS = anatomy.NormalEquations.of(rand(8, 3), rand(8))
HALF = torch.tensor([1, 0] * 3, dtype=torch.float64)[:, None]

EXAMPLES = {
    "metrics.check_finite": [(lambda values: check_finite(values, "things"), {"values": rand(3)}, {})],
    "metrics.anatomy.NormalEquations.of": [
        (anatomy.NormalEquations.of, {"inputs": rand(8, 3), "targets": rand(8)}, {}),
    ],
    "metrics.anatomy.NormalEquations.ridge": [
        (ridge_of, {"penalty": 0.1, "total": EQUATIONS.total, "products": EQUATIONS.products}, {}),
    ],
    "metrics.anatomy.stack_levels": [
        (lambda a, b: anatomy.stack_levels([a, b]), {"a": rand(1, 2, 4, 4), "b": rand(1, 3, 2, 2)}, {}),
    ],
    "metrics.anatomy.head_points": [
        (lambda parts: anatomy.head_points(parts, ("beak", "tail")), {"parts": rand(2, 2, 2)}, {"parts": NAN}),
    ],
    "metrics.anatomy.gaussian_maps": [
        (lambda points, sigma: anatomy.gaussian_maps(points, 4, sigma), {"points": POINTS, "sigma": 0.1},
         {"points": NAN}),
    ],
    "metrics.anatomy.find_peaks": [(anatomy.find_peaks, {"maps": rand(2, 5, 5), "radius": 0.2}, {})],
    "metrics.anatomy.HeadDetector.of": [
        (lambda **tensors: anatomy.HeadDetector.of(tensors | {"count": torch.tensor(3)}),
         {name: value for name, value in detector().tensors().items() if name != "count"}, {}),
    ],
    "metrics.anatomy.HeadDetector.maps": [
        (lambda weight, bias, features: detector(weight=weight, bias=bias).maps(features),
         {"weight": rand(3).double(), "bias": torch.tensor(0.5), "features": rand(2, 2, 2, 3)}, {}),
    ],
    "metrics.anatomy.HeadDetector.no_head": [
        (lambda threshold, values: detector(threshold).no_head(anatomy.Peaks(values, PEAKS["points"])),
         {"threshold": 0.1, "values": PEAKS["values"]}, {"values": -INF}),
    ],
    "metrics.anatomy.HeadDetector.second_head": [
        (lambda faint, values: detector(faint=faint).second_head(anatomy.Peaks(values, PEAKS["points"])),
         {"faint": 0.1, "values": PEAKS["values"]}, {"values": -INF}),
    ],
    "metrics.anatomy.linear_maps": [
        (lambda weight, bias, features: anatomy.linear_maps(anatomy.Ridge(weight, bias), features),
         {"weight": rand(3).double(), "bias": torch.tensor(0.5).double(), "features": rand(2, 2, 2, 3)}, {}),
    ],
    "metrics.anatomy.fit_head_detector": [
        (lambda features, points: anatomy.fit_head_detector(features, points, folds=2),
         {"features": rand(8, 4, 4, 3), "points": rand(8, 2) / 2}, {"points": NAN}),
    ],
    "metrics.anatomy.add_up": [
        (lambda features, points: anatomy.add_up(features, points, torch.arange(4)),
         {"features": rand(4, 4, 4, 3), "points": POINTS}, {"points": NAN}),
    ],
    "metrics.anatomy.share_found": [
        (anatomy.share_found, {"points": POINTS, "where": POINTS + 0.01}, {"points": NAN}),
    ],
    "metrics.attention.mass_inside": [
        (attention.mass_inside, {"maps": rand(2, 3, 4, 4), "masks": rand(2, 4, 4) / 2}, {}),
    ],
    "metrics.attention.box_masks": [
        (lambda boxes: attention.box_masks([tuple(box) for box in boxes.tolist()], 4), {"boxes": rand(2, 4) / 3}, {}),
    ],
    "metrics.attention.object_masks": [(lambda pixels: attention.object_masks(pixels, 4), {"pixels": PIXELS}, {})],
    "metrics.attention.to_lab": [(attention.to_lab, {"pixels": PIXELS}, {})],
    "metrics.attention.otsu": [(attention.otsu, {"values": rand(2, 5)}, {})],
    "metrics.colour.ColourProbes.logits": [
        (lambda features, **parts: probes_of(**parts).logits(features), {"features": features()} | PROBES, {}),
    ],
    "metrics.colour.fit_colour_probes": [
        (lambda features, l2: colour.fit_colour_probes(features, CAPTIONS, l2, steps=2),
         {"features": features(), "l2": 0.1}, {}),
    ],
    "metrics.colour.logistic_regression": [
        (lambda inputs, labels, l2: colour.logistic_regression(inputs, labels, l2, 2),
         {"inputs": features(), "labels": (rand(6, 2) > 0.6).float(), "l2": 0.1}, {}),
    ],
    "metrics.colour.colour_agreement": [
        (lambda features, **parts: colour.colour_agreement(probes_of(**parts), features, CAPTIONS),
         {"features": features()} | PROBES, {}),
    ],
    "metrics.colour.area_under_curve": [
        (lambda scores: colour.area_under_curve(scores, torch.arange(6) > 2), {"scores": rand(6)}, {}),
    ],
    "metrics.colour.check_rows": [],  # looks at shapes alone
    "metrics.diversity.diversity": [
        (diversity.diversity, {"features": features(), "captions": torch.arange(6.0) // 2}, {}),
    ],
    "metrics.diversity.sum_of_distances": [(diversity.sum_of_distances, {"features": features()}, {})],
    "metrics.frechet.FeatureStatistics.of": [(frechet.FeatureStatistics.of, {"features": features()}, {})],
    "metrics.frechet.FeatureStatistics.update": [(statistics_of, {"values": features()}, {})],
    "metrics.frechet.frechet_distance": [
        (distance_of, {"mean": rand(3).double(), "scatter": torch.eye(3).double()}, {}),
    ],
    "metrics.frechet.symmetric_factor": [(frechet.symmetric_factor, {"covariance": torch.eye(3)}, {})],
    "metrics.frechet.kernel_distance": [
        (lambda a, b: frechet.kernel_distance(a, b, 2, 3), {"a": features(), "b": features(5)}, {}),
    ],
    "metrics.frechet.subset_distances": [
        (frechet.subset_distances,
         {"a": features().double(), "b": features().double(), "picked_a": HALF, "picked_b": HALF}, {}),
    ],
    "metrics.frechet.polynomial_kernel": [(frechet.polynomial_kernel, {"a": features(), "b": features(5)}, {})],
    "metrics.inception.inception_score": [
        (lambda probabilities: inception.inception_score(probabilities, 2),
         {"probabilities": rand(4, 3).softmax(dim=1)}, {}),
    ],
    "metrics.inception.divergence_from_marginal": [
        (inception.divergence_from_marginal, {"probabilities": rand(4, 3).softmax(dim=1)}, {}),
    ],
    "metrics.nearest.nearest": [(nearest.nearest, {"features": features(), "photographs": features(5)}, {})],
    "metrics.placement.object_boxes": [
        (lambda pictures: placement.object_boxes(pictures.numpy()), {"pictures": 200 * rand(2, 6, 6, 3)}, {}),
    ],
    "metrics.placement.box_overlaps": [
        (lambda boxes, others: placement.box_overlaps(boxes.numpy(), others.numpy()),
         {"boxes": rand(3, 4), "others": rand(3, 4)}, {}),
    ],
    "metrics.placement.following": [
        (lambda told, found: placement.following(told.numpy(), found.numpy()),
         {"told": rand(5, 4), "found": rand(5, 4)}, {"found": NAN}),
    ],
    "metrics.nearest.share_nearer": [
        (nearest.share_nearer, {"distances": rand(5), "reference": rand(6), "quantile": 0.05}, {}),
    ],
    "metrics.networks.FeatureNetwork.features": [],  # of the two below
    "metrics.networks.FeatureNetwork.classify": [],
    "metrics.networks.FeatureNetwork.levels": [],
    "metrics.networks.ImageNetTrunk.features": [
        (lambda pictures: network(networks.ImageNetTrunk).features(pictures), {"pictures": PIXELS}, {}),
    ],
    "metrics.networks.ImageNetTrunk.levels": [
        (lambda pictures: network(networks.ImageNetTrunk).levels(pictures), {"pictures": PIXELS}, {}),
    ],
    "metrics.networks.ImageNetTrunk.classify": [
        (lambda features: network(networks.ImageNetTrunk).classify(features), {"features": rand(2, 8)}, {}),
    ],
    "metrics.networks.Inception2015.features": [
        (lambda pictures: network(networks.Inception2015).features(pictures), {"pictures": PIXELS}, {}),
    ],
    "metrics.networks.Inception2015.classify": [
        (lambda features: network(networks.Inception2015).classify(features), {"features": rand(2, 4)}, {}),
    ],
    "metrics.redescription.cider": [
        (lambda sigma, variant=variant: redescription.cider(**SENTENCES, variant=variant, sigma=sigma),
         {"sigma": 6.0}, {})
        for variant in ("CIDEr", "CIDEr-D")
    ],
    "metrics.redescription.cider_scores": [
        (lambda sigma: redescription.cider_scores(**SENTENCES, variant="CIDEr-D", sigma=sigma), {"sigma": 6.0}, {}),
    ],
    "metrics.redescription.tf_idf": [
        (lambda rarity, unseen: redescription.tf_idf({("a",): 1, ("b",): 2}, rarity, unseen),
         {"rarity": {("a",): 0.5}, "unseen": 0.7}, {}),
    ],
    "metrics.redescription.check_weights": [
        (lambda values: redescription.check_weights(values.tolist()), {"values": rand(4)}, {}),
    ],
    "metrics.redescription.cosine": [
        (redescription.cosine, {"vector": {("a",): 0.5, ("b",): 0.2}, "reference": {("a",): 0.5, ("c",): 0.2}}, {}),
        (redescription.cosine, {"vector": {("a",): 0.5}, "reference": {("c",): 0.2}}, {}),
    ],
    "metrics.redescription.clipped_cosine": [
        (redescription.clipped_cosine,
         {"vector": {("a",): 0.5, ("b",): 0.2}, "reference": {("a",): 0.5, ("c",): 0.2}}, {}),
    ],
    "metrics.redescription.norm": [(redescription.norm, {"vector": {("a",): 0.5, ("b",): 0.2}}, {})],
    "metrics.redescription.rouge_l": [
        (lambda beta: redescription.rouge_l(**SENTENCES, beta=beta), {"beta": 1.2}, {}),
    ],
    "metrics.retrieval.r_precision": [
        (lambda images, captions, groups: retrieval.r_precision(images, captions, groups, 3, folds=2),
         {"images": features(), "captions": features(), "groups": torch.arange(6.0)}, {}),
    ],
    "metrics.retrieval.is_hit": [
        (lambda own, rivals: retrieval.is_hit(own, rivals, 1), {"own": rand(3), "rivals": rand(3, 4)},
         {"rivals": -INF}),
    ],
    "metrics.retrieval.draw_from_other_groups": [
        (lambda groups: retrieval.draw_from_other_groups(groups, 2, 0), {"groups": torch.arange(6.0)}, {}),
    ],
    "metrics.retrieval.check_codes": [
        (retrieval.check_codes, {"image_codes": features(), "caption_codes": features()}, {}),
    ],
    "adversarial.frechet_loss.Statistics.forward": [
        (lambda images: moments.Statistics(Parts(), 32, moments.STATISTICS)(images), {"images": rand(2, 3, 32, 32)}, {})
    ],
    "adversarial.frechet_loss.part_statistics": [(moments.part_statistics, {"maps": rand(2, 3, 4, 4) / 2}, {})],
    "adversarial.frechet_loss.FrechetLoss.fit": [
        (lambda features, sentences: moments.FrechetLoss(4, 3).fit(features, sentences),
         {"features": rand(20, 4), "sentences": rand(20, 3)}, {}),
    ],
    "adversarial.frechet_loss.FrechetLoss.place": [
        (lambda features, sentences: measured().place(features, sentences),
         {"features": rand(5, 4), "sentences": rand(5, 3)}, {}),
    ],
    "adversarial.frechet_loss.FrechetLoss.distance": [
        (lambda features, sentences: measured().distance(features, sentences),
         {"features": rand(5, 4), "sentences": rand(5, 3)}, {}),
    ],
    "adversarial.frechet_loss.FrechetLoss.update": [(updated, {"points": rand(5, 7).double()}, {})],
    "adversarial.frechet_loss.check_early": [
        (lambda values: moments.check_early(values, "things"), {"values": rand(3)}, {}),
    ],
    "adversarial.frechet_loss.principal": [(lambda points: moments.principal(points, 2), {"points": features()}, {})],
}  # fmt: skip


def poisoned(value, bad, place):
    """A copy of a value of an example whose first or last number is a bad one."""
    if isinstance(value, torch.Tensor):
        value = value.clone()
        value.view(-1)[place] = bad
        return value
    if isinstance(value, dict):
        return value | {list(value)[place]: bad}
    return bad


def test_every_public_function_that_takes_numbers_has_an_example():
    assert public().keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", [name for name, examples in EXAMPLES.items() if examples])
def test_what_is_not_finite_is_refused_with_what_and_how_many(name):
    for function, given, absent in EXAMPLES[name]:
        function(**given)  # as it is, it is taken
        for part, value in given.items():
            for bad in (NAN, INF, -INF):
                for place in (0, -1):
                    allowed = absent.get(part)
                    if allowed is not None and (bad == allowed or (math.isnan(bad) and math.isnan(allowed))):
                        continue
                    with pytest.raises(NotFiniteError, match=r"^[\d,]+ of [\d,]+ [\w' -]+ are NaN or infinite; "):
                        function(**given | {part: poisoned(value, bad, place)})


@pytest.mark.parametrize("kind", ["pooled", "levels"])
def test_a_network_whose_weights_are_no_numbers_is_noticed_where_it_looks(kind):
    broken = network(networks.ImageNetTrunk)
    with torch.no_grad():
        broken.trunk.convolutions[0].weight[0, 0, 0, 0] = NAN
    pictures = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    with pytest.raises(NotFiniteError, match="of toy are NaN or infinite"):
        broken.features(pictures) if kind == "pooled" else broken.levels(pictures)


@pytest.mark.parametrize("values", [[1.0, NAN], np.array([1.0, INF]), torch.tensor([1.0, -INF]).half(), NAN])
def test_numbers_of_any_kind_are_counted(values, monkeypatch):
    monkeypatch.setattr(metrics, "CHUNK", 1)
    with pytest.raises(NotFiniteError, match=r"^1 of [12] things are NaN or infinite; all must be finite$"):
        check_finite(values, "things")


def test_whole_numbers_are_finite_and_what_stands_for_nothing_is_taken():
    for values in (torch.arange(3), torch.tensor([True]), [1, 2], torch.empty(0)):
        check_finite(values, "things")
    check_finite([1.0, NAN], "things", absent=NAN)
    check_finite([1.0, -INF], "things", absent=-INF)
    with pytest.raises(NotFiniteError, match=r"^1 of 2 things .*; each must be finite, or -inf where there is none$"):
        check_finite([INF, -INF], "things", absent=-INF)


def test_an_unchecked_function_would_be_found(monkeypatch):
    def mean(features: torch.Tensor) -> float:
        return float(features.mean())

    mean.__module__ = nearest.__name__
    monkeypatch.setattr(nearest, "mean", mean, raising=False)
    assert public().keys() - EXAMPLES.keys() == {"metrics.nearest.mean"}
    assert dataclasses.is_dataclass(colour.ColourProbes)  # its fields are poisoned above
    assert {field.name for field in dataclasses.fields(colour.ColourProbes)} == {"colours", *PROBES}
