"""Masked prediction at every resolution, and the gradient of its sum."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multires.models.encoder import Regularization
from multires.models.mr_hubert import MultiResHubert
from multires.training import pretrain as module
from multires.training.batches import Batches, cut, mask_spans
from multires.training.distributed import Processes
from multires.training.loss import masked_prediction, targets_at
from tests.training.tiny import RECIPE, config


def test_targets_are_read_at_each_resolutions_rate():
    units = torch.arange(11)[None]
    assert targets_at(units, 11, 0.02)[0].tolist() == list(range(11))
    assert targets_at(units, 6, 0.04)[0].tolist() == [0, 2, 4, 6, 8, 10]
    assert targets_at(units, 3, 0.08)[0].tolist() == [0, 4, 8]


def test_predictions_at_both_resolutions_are_scored_against_their_targets(data):
    speech, units = data
    model = MultiResHubert(config("multi"), seed=0)
    batch = Batches(speech, RECIPE, seed=0)[0]
    waveforms, labels = cut(speech, units, batch)
    mask = torch.from_numpy(mask_spans(*labels.shape, span=10, probability=0.8, rng=np.random.default_rng(0)))
    predicted = model.predict(waveforms, mask=mask)
    scores, others, _ = masked_prediction(model, predicted, labels, unmasked=True)
    outputs = predicted.resolutions
    for head, stride in enumerate((1, 2)):
        logits = model.logits(head, outputs[head].frames)
        target = labels[:, ::stride]
        for score, at in ((scores[head], mask[:, ::stride]), (others[head], ~mask[:, ::stride])):
            picked = torch.nn.functional.cross_entropy(logits[at], target[at], reduction="sum")
            assert score.loss.item() == pytest.approx(picked.item(), rel=1e-4)
            assert int(score.count) == int(at.sum())
            assert int(score.hits) == int((logits[at].argmax(1) == target[at]).sum())
            assert score.frame_period == pytest.approx(0.02 * stride)
    assert len(scores) == len(others) == 2
    assert masked_prediction(model, predicted, labels)[1] == []


def test_the_loss_is_summed_over_resolutions_and_divided_by_fine_frames(data):
    """As fairseq's criterion: sums of all heads over the sample size of the finest, each kind with its weight."""
    speech, units = data
    recipe = replace(RECIPE, dropout=0.0, masked_weight=1.0, unmasked_weight=0.5, auxiliary_weight=2.0)
    training = module._Training(config("multi"), speech, units, recipe, 0, None, None, Processes(torch.device("cpu")))
    regularization = Regularization(feature_gradient=recipe.feature_gradient)
    model = MultiResHubert(config("multi"), regularization=regularization, seed=0).train()
    batch = training.batches[0]
    waveforms, labels = cut(speech, units, batch)
    mask = torch.from_numpy(
        mask_spans(*labels.shape, span=10, probability=recipe.mask_probability, rng=np.random.default_rng([0, 3, 0]))
    )
    masked, others, penalty = masked_prediction(model, model.predict(waveforms, mask=mask), labels, unmasked=True)
    total = sum(
        weight * scale * score.loss
        for scores, weight in ((masked, 1.0), (others, 0.5))
        for score, scale in zip(scores, (1.0, 2.0), strict=True)
    )
    (total / labels.numel() + recipe.feature_penalty * penalty).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    training.model.train()
    training.advance()
    for (name, wanted), found in zip(model.named_parameters(), training.model.parameters(), strict=True):
        if wanted.grad is not None and found.grad is not None:
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-3, atol=1e-6, msg=name)
    assert float(norm) > 0
