import functools
import itertools
import math

import pytest
import torch

from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.losses import redescription_loss
from mirrorgan.vocabulary import END, pad

CAPTIONS = [[3, 1, 4], [2], [4, 4, 2, 1]]


def build(backbone, **options):
    sizes = {"vocabulary_size": 5, "backbone": "tiny", "image_size": 32, "embedding_dim": 6, "hidden_dim": 7}
    captioner = Captioner(CaptionerConfig(**sizes | options), backbone).eval()
    with torch.no_grad():
        captioner.to_words.weight *= 6  # so that some words are much more probable than others
    return captioner


@pytest.fixture(
    params=[{}, {"ends": False}, {"attention_dim": 5}, {"attention_dim": 5, "ends": False}],
    ids=["with an end", "as released", "regions", "regions as released"],
)
def captioner(request, tiny_backbone):
    return build(tiny_backbone, **request.param)


def look(captioner, pictures):
    """What might be seen of some pictures: of four regions each, where words look at regions."""
    seen = torch.randn(pictures, 6)
    return seen if captioner.attention is None else torch.cat([seen[:, None], torch.randn(pictures, 4, 6)], dim=1)


def step_by_step(captioner, seen, tokens):
    """Log-probabilities of the next word after the picture and some words, (V,); the LSTM's equations by hand."""
    h = hidden_step_by_step(captioner, seen, tokens)[-1]
    if captioner.attention is not None:
        looked = attention_by_hand(captioner, h, seen[1:])
        middle = sum(weight * region for weight, region in zip(looked, seen[1:], strict=True))
        value = captioner.attention.value
        h = h + value.weight @ middle + value.bias
    return (captioner.to_words.weight @ h + captioner.to_words.bias).log_softmax(dim=0)


def attention_by_hand(captioner, h, regions):
    """Where a step looks, a weight a region: z_i = w^T tanh(W_v v_i + W_g h), and their softmax."""
    attention = captioner.attention
    scores = []
    for region in regions:
        inner = attention.keys.weight @ region + attention.query.weight @ h + attention.query.bias
        scores.append(float((attention.score.weight[0] * inner.tanh()).sum().detach()))
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def hidden_step_by_step(captioner, seen, tokens):
    """The LSTM's hidden state after the picture and after every word, by its equations."""
    lstm, states = captioner.lstm, []
    h, c = torch.zeros(7), torch.zeros(7)
    whole = seen if captioner.attention is None else seen[0]
    for x in [whole, *(captioner.embedding.weight[token] for token in tokens)]:
        gates = lstm.weight_ih_l0 @ x + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ h + lstm.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return states


def log_probabilities(captioner, seen, words):
    """Of every word of a sentence, and of the end after it if the captioner learns one."""
    targets = [*words, END] if captioner.config.ends else list(words)
    return [float(step_by_step(captioner, seen, targets[:t])[target].detach()) for t, target in enumerate(targets)]


# -------------------------------------------------------------------------------------------- teacher forcing


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_that_of_reading_word_by_word(captioner, reduction):
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    seen = captioner.see(images)
    logs = [log_probabilities(captioner, row, caption) for row, caption in zip(seen, CAPTIONS, strict=True)]
    total = -sum(map(sum, logs))
    expected = total / (sum(map(len, logs)) if reduction == "mean" else 3)
    loss = captioner.loss(images, *pad(CAPTIONS), reduction)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_score_is_the_log_probability_of_every_word(captioner):
    seen = look(captioner, 3)
    tokens, mask = pad(CAPTIONS)
    told = captioner.score(seen, tokens, mask)
    for row, caption in enumerate(CAPTIONS):
        expected = log_probabilities(captioner, seen[row], caption)
        assert told[row, : len(expected)].tolist() == pytest.approx(expected, abs=1e-5)
        assert (told[row, len(expected) :] == 0).all()
    assert (told <= 0).all()


def test_padding_changes_nothing(captioner):
    seen = look(captioner, 3)
    tokens, mask = pad(CAPTIONS)
    longer = torch.cat([tokens.masked_fill(~mask, 3), torch.full((3, 2), 2)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], dim=1)
    told, told_longer = captioner.score(seen, tokens, mask), captioner.score(seen, longer, longer_mask)
    torch.testing.assert_close(told_longer[:, : told.shape[1]], told)
    assert (told_longer[:, told.shape[1] :] == 0).all()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(captioner.loss(images, tokens, mask), captioner.loss(images, longer, longer_mask))


def test_a_batch_equals_its_captions_one_by_one(captioner):
    seen = look(captioner, 3)
    told = captioner.score(seen, *pad(CAPTIONS))
    for row, caption in enumerate(CAPTIONS):
        alone = captioner.score(seen[row : row + 1], *pad([caption]))
        torch.testing.assert_close(told[row, : alone.shape[1]], alone[0])


def test_without_an_end_the_targets_are_the_released_ones(tiny_backbone):
    # Inputs: picture, w1, ..., w_{L-1}; targets: w1, ..., wL. The end is never one of them.
    captioner = build(tiny_backbone, ends=False)
    tokens, mask = pad(CAPTIONS)
    targets, counted = captioner.targets(tokens, mask)
    assert torch.equal(targets, tokens) and torch.equal(counted, mask)
    assert captioner.logits(torch.randn(3, 6), tokens).shape == (3, 4, 5)
    assert END not in targets[counted]


def test_with_an_end_it_counts_once_after_the_last_word(tiny_backbone):
    captioner = build(tiny_backbone)
    targets, counted = captioner.targets(*pad(CAPTIONS))
    for row, caption in enumerate(CAPTIONS):
        assert targets[row, counted[row]].tolist() == [*caption, END]
    assert captioner.logits(torch.randn(3, 6), pad(CAPTIONS)[0]).shape == (3, 5, 5)


def test_the_end_is_put_where_the_caption_ends_whatever_lies_in_the_padding(tiny_backbone):
    tokens, mask = pad(CAPTIONS)
    targets, counted = build(tiny_backbone).targets(tokens.masked_fill(~mask, 3), mask)
    assert targets[1, counted[1]].tolist() == [2, END]


def test_the_loss_is_the_redescription_loss_of_what_is_seen(captioner):
    images = torch.rand(3, 3, 48, 48) * 2 - 1
    tokens, mask = pad(CAPTIONS)
    logits = captioner.logits(captioner.see(images), tokens)
    expected = redescription_loss(logits, *captioner.targets(tokens, mask))
    torch.testing.assert_close(captioner.loss(images, tokens, mask), expected)


# --------------------------------------------------------------------------------------------------- decoding


def greedy_by_hand(captioner, seen, longest):
    words = []
    while True:
        logs = step_by_step(captioner, seen, words)
        if not captioner.config.ends or not words:
            logs[END] = -math.inf  # never an empty sentence
        best = int(logs.argmax())
        if best == END or len(words) == longest:
            return words, best == END
        words.append(best)


def test_greedy_is_the_most_probable_next_word_again_and_again(captioner):
    seen = look(captioner, 24) * 3
    endings = set()
    for row, sentence in zip(seen, captioner.greedy(seen, longest=6), strict=True):
        words, complete = greedy_by_hand(captioner, row, 6)
        assert (sentence.tokens, sentence.complete) == (words, complete)
        endings.add(complete)
        logs = log_probabilities(captioner, row, words)
        assert sentence.probabilities == pytest.approx([math.exp(x) for x in logs[: len(words)]], rel=1e-4)
        assert sentence.log_likelihood == pytest.approx(sum(logs[: len(words) + complete]), abs=1e-4)
    assert endings == ({True, False} if captioner.config.ends else {False})  # or the test would be half of one


def test_a_beam_of_one_is_greedy(captioner):
    seen = look(captioner, 5) * 3
    for row, sentence in zip(seen, captioner.greedy(seen, 6), strict=True):
        (alone,) = captioner.beam(row[None], 1, 6)
        assert (alone.tokens, alone.complete) == (sentence.tokens, sentence.complete)
        assert alone.probabilities == pytest.approx(sentence.probabilities, rel=1e-5)
        assert alone.log_likelihood == pytest.approx(sentence.log_likelihood, rel=1e-5)


def every_sentence(words, longest):
    for length in range(1, longest + 1):
        yield from itertools.product(range(1, words), repeat=length)


def test_a_beam_of_full_width_finds_the_best_of_all_sentences(tiny_backbone):
    # Ranked by log-likelihood a token, the end counted as one. At the longest a sentence ends if that is what is most
    # probable there; it is not made to.
    captioner = build(tiny_backbone, vocabulary_size=4)
    for seen in look(captioner, 4) * 3:
        ranked = []
        for words in every_sentence(4, 3):
            logs = log_probabilities(captioner, seen, words)
            others = [log_probabilities(captioner, seen, (*words, other))[len(words)] for other in range(1, 4)]
            if len(words) < 3 or logs[-1] > max(others):
                ranked.append((sum(logs) / len(logs), list(words), sum(logs)))
        ranked.sort(reverse=True)
        found = captioner.beam(seen[None], 1000, longest=3)
        assert len(found) == len(ranked) >= 3 + 9
        assert [sentence.tokens for sentence in found[:5]] == [words for _, words, _ in ranked[:5]]
        assert found[0].log_likelihood == pytest.approx(ranked[0][2], abs=1e-4)
        assert all(sentence.complete for sentence in found)
        assert len({tuple(sentence.tokens) for sentence in found}) == len(found)


def test_without_an_end_a_beam_of_full_width_finds_the_best_of_the_longest(tiny_backbone):
    captioner = build(tiny_backbone, vocabulary_size=4, ends=False)
    for seen in look(captioner, 4) * 3:
        ranked = sorted(
            (
                (sum(log_probabilities(captioner, seen, words)), list(words))
                for words in itertools.product(range(1, 4), repeat=3)
            ),
            reverse=True,
        )
        found = captioner.beam(seen[None], 1000, longest=3)
        assert len(found) == 27
        assert [sentence.tokens for sentence in found[:5]] == [words for _, words in ranked[:5]]
        assert not any(sentence.complete for sentence in found)


def beam_by_loops(likelihood, width, longest):
    """Of a captioner that learns no end: after every word the `width` most probable beginnings are kept."""
    kept = [()]
    for _ in range(longest):
        grown = [(*words, word) for words in kept for word in range(1, 5)]
        kept = sorted(grown, key=likelihood, reverse=True)[:width]
    return [list(words) for words in kept]


def test_after_every_word_as_many_beginnings_are_kept_as_the_beam_is_wide(tiny_backbone):
    captioner = build(tiny_backbone, ends=False)
    differ = set()
    for seen in look(captioner, 3) * 3:
        likelihood = functools.cache(lambda words, seen=seen: sum(log_probabilities(captioner, seen, words)))
        expected = {width: beam_by_loops(likelihood, width, 4) for width in (1, 2, 3, 4)}
        for width, sentences in expected.items():
            assert [sentence.tokens for sentence in captioner.beam(seen[None], width, longest=4)] == sentences
        differ |= {width for width in (1, 2, 3) if expected[width] != expected[width + 1][:width]}
    assert differ == {1, 2, 3}  # or a beam of another width would have passed too


@pytest.mark.parametrize("width", [1, 2, 3, 10])
def test_sentences_come_best_first_and_add_up(captioner, width):
    for seen in look(captioner, 4) * 3:
        found = captioner.beam(seen[None], width, longest=4)
        assert 1 <= len(found) <= width
        ranks = []
        for sentence in found:
            assert 1 <= len(sentence.tokens) <= 4 and END not in sentence.tokens
            assert len(sentence.probabilities) == len(sentence.tokens)
            assert all(0 < p <= 1 for p in sentence.probabilities)
            logs = log_probabilities(captioner, seen, sentence.tokens)
            counted = logs if sentence.complete else logs[: len(sentence.tokens)]
            assert sentence.log_likelihood == pytest.approx(sum(counted), abs=1e-4)
            ranks.append(sum(counted) / len(counted))
        assert ranks == sorted(ranks, reverse=True)


def test_the_likelihood_of_a_complete_sentence_is_its_score(tiny_backbone):
    captioner = build(tiny_backbone)
    seen = look(captioner, 1) * 3
    for sentence in captioner.beam(seen, 5, longest=4):
        assert sentence.log_likelihood == pytest.approx(
            float(captioner.score(seen, *pad([sentence.tokens])).sum()), abs=1e-4
        )


def test_no_sentence_is_empty_even_if_the_end_is_by_far_most_probable(tiny_backbone):
    captioner = build(tiny_backbone)
    with torch.no_grad():
        captioner.to_words.bias[END] = 50.0
    for width in (1, 3):
        (first, *_) = captioner.beam(torch.randn(1, 6), width)
        assert len(first.tokens) == 1 and first.complete


def test_decoding_is_cut_at_the_longest(tiny_backbone):
    captioner = build(tiny_backbone, longest=3)
    with torch.no_grad():
        captioner.to_words.bias[END] = -50.0
    (sentence,) = captioner.greedy(torch.randn(1, 6))
    assert len(sentence.tokens) == 3 and not sentence.complete
    assert not captioner.beam(torch.randn(1, 6), 1)[0].complete


@pytest.mark.parametrize("width", [2, 3])
def test_a_beam_does_not_make_a_sentence_end_that_would_go_on(tiny_backbone, width):
    captioner = build(tiny_backbone, longest=3)
    with torch.no_grad():
        captioner.to_words.bias[END] = -50.0
    found = captioner.beam(torch.randn(1, 6), width)
    assert len(found) == width and not any(sentence.complete for sentence in found)


def test_one_picture_and_a_width_are_needed(captioner):
    with pytest.raises(ValueError, match="one picture"):
        captioner.beam(torch.randn(2, 6))
    with pytest.raises(ValueError, match="at least 1, not 1 and 0"):
        captioner.beam(torch.randn(1, 6), 0)


# ------------------------------------------------------------------------------------------------ regions


@pytest.fixture
def attentive(tiny_backbone):
    captioner = build(tiny_backbone, attention_dim=5)
    with torch.no_grad():
        captioner.attention.score.weight *= 20  # so that some regions are looked at much more than others
    return captioner


def test_a_word_s_map_is_where_the_step_that_says_it_looks(attentive):
    seen = look(attentive, 3)
    tokens, mask = pad(CAPTIONS)
    maps = attentive.maps(seen, tokens)
    assert maps.shape == (3, 4, 2, 2) and maps.dtype == torch.float32
    for row, caption in enumerate(CAPTIONS):
        states = hidden_step_by_step(attentive, seen[row], caption)
        for place in range(len(caption)):  # the state before the word chooses it
            expected = torch.tensor(attention_by_hand(attentive, states[place], seen[row, 1:]))
            torch.testing.assert_close(maps[row, place].flatten(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(3, 4))
    assert maps[mask].amax(dim=(1, 2)).max() > 0.5  # or every map would be flat, and this test blind


def test_regions_lie_in_a_map_as_they_do_in_the_picture(attentive):
    # A feature map of one bright place: the query that likes it puts the map's weight at the same place.
    regional = torch.zeros(1, 6, 2, 2)
    regional[0, :, 0, 1] = torch.tensor([3.0, -1.0, 2.0, 0.5, -2.0, 1.0])
    regions = attentive.attention.project(regional)
    assert torch.equal(regions[0, 0], regions[0, 2]) and torch.equal(regions[0, 0], regions[0, 3])
    assert not torch.equal(regions[0, 0], regions[0, 1])  # row 0, column 1


def test_the_regions_order_changes_the_map_and_nothing_else(attentive):
    seen, (tokens, mask) = look(attentive, 3), pad(CAPTIONS)
    order = torch.tensor([2, 0, 3, 1])
    other = torch.cat([seen[:, :1], seen[:, 1:][:, order]], dim=1)
    torch.testing.assert_close(attentive.score(other, tokens, mask), attentive.score(seen, tokens, mask))
    flat = attentive.maps(seen, tokens).flatten(2)
    torch.testing.assert_close(attentive.maps(other, tokens).flatten(2), flat[:, :, order])


def test_what_is_seen_is_the_whole_and_then_the_regions(attentive, tiny_backbone):
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    seen = attentive.see(images)
    features = tiny_backbone(images)
    assert seen.shape == (2, 1 + 2 * 2, 6)
    torch.testing.assert_close(seen, attentive.project(features.pooled, features.levels[2]))
    torch.testing.assert_close(seen[:, 0], attentive.norm(attentive.linear(features.pooled)))
    with pytest.raises(ValueError, match="regional features"):
        attentive.project(features.pooled)


def test_without_attention_there_are_no_maps_and_an_older_configuration_has_none(tiny_backbone):
    old = {"vocabulary_size": 5, "backbone": "tiny", "image_size": 32, "embedding_dim": 6, "hidden_dim": 7}
    captioner = Captioner(CaptionerConfig(**old), tiny_backbone)
    assert captioner.attention is None
    assert captioner.maps(torch.randn(1, 6), torch.tensor([[1, 2]])) is None


def test_the_gradient_reaches_the_picture_through_the_regions_too(attentive):
    attentive.requires_grad_(False)
    seen = look(attentive, 2).requires_grad_()
    tokens, mask = pad(CAPTIONS[:2])
    redescription_loss(attentive.logits(seen, tokens), *attentive.targets(tokens, mask)).backward()
    assert (seen.grad[:, 1:].abs().sum(dim=2) > 0).all()


# -------------------------------------------------------------------------------------------------- gradients


def test_the_gradient_reaches_the_picture_while_nothing_of_the_captioner_moves(captioner):
    # Frozen parameters, and yet an open way from the loss to the pixels.
    captioner.requires_grad_(False)
    before = {key: value.clone() for key, value in captioner.state_dict().items()}
    trunk = {key: value.clone() for key, value in captioner.backbone.state_dict().items()}
    images = (torch.rand(3, 3, 64, 64) * 2 - 1).requires_grad_()
    captioner.loss(images, *pad(CAPTIONS)).backward()
    assert (images.grad.abs().sum(dim=(1, 2, 3)) > 0).all()
    assert all(p.grad is None for p in [*captioner.parameters(), *captioner.backbone.parameters()])
    assert all(torch.equal(value, before[key]) for key, value in captioner.state_dict().items())
    assert all(torch.equal(value, trunk[key]) for key, value in captioner.backbone.state_dict().items())


def test_the_lstm_stays_in_train_mode_and_nothing_else(captioner):
    # cuDNN cannot go backward through an LSTM in eval mode.
    captioner.eval()
    assert captioner.lstm.training
    assert not captioner.norm.training and not captioner.dropout.training
    captioner.train()
    assert captioner.norm.training and not captioner.backbone.training


def test_dropout_is_for_training_only(tiny_backbone):
    captioner = build(tiny_backbone, dropout=0.5)
    seen, tokens = look(captioner, 3), pad(CAPTIONS)[0]
    assert torch.equal(captioner.logits(seen, tokens), captioner.logits(seen, tokens))
    captioner.train()
    assert not torch.equal(captioner.logits(seen, tokens), captioner.logits(seen, tokens))


def test_the_trunk_is_no_part_of_the_state(captioner):
    parts = {key.split(".")[0] for key in captioner.state_dict()}
    own = {"attention"} if captioner.attention is not None else set()
    assert parts == {"linear", "norm", "embedding", "lstm", "to_words"} | own


def test_it_has_as_many_parameters_as_the_released_one(tiny_backbone):
    # 525,056 in the head of the CNN and 5,768,010 in the LSTM with its embedding and output.
    tiny_backbone.pooled_dim = 2048
    with torch.device("meta"):
        captioner = Captioner(CaptionerConfig(vocabulary_size=5450), tiny_backbone)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in captioner.named_children()}
    assert sizes["linear"] + sizes["norm"] == 525_056
    assert sizes["embedding"] + sizes["lstm"] + sizes["to_words"] == 5_768_010


def test_what_stood_to_choose_is_what_the_equations_rank(captioner):
    seen, (tokens, mask) = look(captioner, 3), pad(CAPTIONS)
    maps, ids, probabilities = captioner.retrace(seen, tokens, 3)
    assert ids.shape == probabilities.shape == (3, 4, 3)
    assert (maps is None) == (captioner.attention is None)
    if maps is not None:
        assert torch.equal(maps, captioner.maps(seen, tokens))
    for row, caption in enumerate(CAPTIONS):
        for place in range(len(caption)):
            chances = step_by_step(captioner, seen[row], caption[:place]).exp()
            allowed = chances.clone()
            if place == 0 or not captioner.config.ends:
                allowed[END] = 0
            ranked = allowed.sort(descending=True)
            assert ids[row, place].tolist() == ranked.indices[:3].tolist()
            torch.testing.assert_close(probabilities[row, place], ranked.values[:3], rtol=1e-4, atol=1e-6)
    assert mask.any()


def test_sentences_unlike_each_other_are_the_best_that_avoid_those_before(tiny_backbone):
    # Of all sentences, the best by log-likelihood a token less `strength` for every word that one before has there.
    captioner = build(tiny_backbone, vocabulary_size=4, longest=3)
    differ = 0
    for seen in look(captioner, 4) * 3:
        first = captioner.beam(seen[None], 1000)[0]
        found = captioner.diverse(seen[None], first, 3, width=1000, strength=0.7)
        assert found[0] is first and len({tuple(sentence.tokens) for sentence in found}) == len(found) == 3
        plain = captioner.beam(seen[None], 1000)

        def rank(sentence, before):
            said = [*sentence.tokens, END]
            met = sum(
                [*one.tokens, END][: len(said)][at : at + 1] == [word] for one in before for at, word in enumerate(said)
            )
            return (sentence.log_likelihood - 0.7 * met) / len(said)

        for place in (1, 2):
            before = found[:place]
            new = [one for one in plain if one.tokens not in [other.tokens for other in before]]
            best = max(rank(one, before) for one in new)
            assert rank(found[place], before) == pytest.approx(best, abs=1e-4)
            logs = log_probabilities(captioner, seen, found[place].tokens)
            assert found[place].log_likelihood == pytest.approx(sum(logs), abs=1e-4)  # without the cost
        differ += found[1].tokens != plain[1].tokens
    assert differ  # or the cost would not matter


def test_the_states_are_the_lstm_s_equations_by_hand(captioner):
    seen, tokens = look(captioner, 1), torch.tensor([[3, 1, 4]])
    states = captioner.states(seen, tokens)
    expected = hidden_step_by_step(captioner, seen[0], [3, 1, 4])
    assert states.hidden.shape == (4, 7)
    torch.testing.assert_close(states.hidden, torch.stack(list(expected)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(states.hidden, states.output_gate * states.cell.tanh())
    for gate in (states.input_gate, states.forget_gate, states.output_gate):
        assert ((gate > 0) & (gate < 1)).all()
    # c_t less what was kept of c_{t-1} is what was written: at most the input gate.
    before = torch.cat([torch.zeros(1, 7), states.cell[:-1]])
    assert ((states.cell - states.forget_gate * before).abs() <= states.input_gate).all()
