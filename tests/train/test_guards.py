import pytest
import torch
from torch import nn

from train.adversarial.saturation import SaturationMonitor
from train.runtime.divergence import EXPLODED, DivergenceMonitor, check_weights


def terms(**values):
    return {name.replace("_", " "): torch.tensor(value) for name, value in values.items()}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2 * EXPLODED, -2 * EXPLODED])
def test_the_first_bad_step_and_its_loss_are_named_however_late_one_looks(value):
    monitor = DivergenceMonitor()
    monitor.see(7, terms(kl=0.1, adversarial=-0.3))
    monitor.check()
    monitor.see(8, terms(kl=0.1, adversarial=value))
    for step in range(9, 14):  # it heals, or spreads: neither hides where it began
        monitor.see(step, terms(kl=value if step > 10 else 0.1, adversarial=0.2))
    with pytest.raises(FloatingPointError, match=r"^step 8: adversarial is not a number or exploded"):
        monitor.check()


def test_nothing_is_said_before_the_first_step_or_about_usual_losses():
    monitor = DivergenceMonitor()
    monitor.check()
    assert SaturationMonitor(margin=1.0).winner() is None
    for step in range(5):
        monitor.see(step, terms(kl=900.0, redescription=-2e5))
    monitor.check()


def test_a_discriminator_that_has_won_for_long_is_reported_once():
    monitor = SaturationMonitor(margin=1.0, patience=4)
    for _ in range(3):
        monitor.see(terms(logit_real=1.5, logit_drawn=-1.2))
    assert monitor.winner() is None
    monitor.see(terms(logit_real=1.5, logit_drawn=-1.2))
    assert "for 4 steps" in monitor.winner()
    monitor.see(terms(logit_real=1.5, logit_drawn=-1.2))
    assert monitor.winner() is None


@pytest.mark.parametrize(("real", "drawn"), [(0.9, -2.0), (2.0, -0.9), (2.0, 1.5)])
def test_a_win_must_last_and_be_on_both_sides(real, drawn):
    monitor = SaturationMonitor(margin=1.0, patience=3)
    for step in range(10):
        lost = step % 3 == 2
        monitor.see(terms(logit_real=real if lost else 2.0, logit_drawn=drawn if lost else -2.0))
    assert monitor.winner() is None


def test_weights_are_numbers():
    parts = [("generator", nn.Linear(2, 2)), ("discriminators", nn.Linear(2, 2))]
    check_weights(7, parts)
    with torch.no_grad():
        parts[1][1].bias[0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"^step 7: a weight of the discriminators is no number any more"):
        check_weights(7, parts)
