import pytest
import torch

from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import pad

CAPTIONS = [[3, 1, 4, 1, 5], [9], [2, 6, 5]]


@pytest.fixture
def encoder():
    return TextEncoder(TextEncoderConfig(vocabulary_size=11, text_dim=6, embedding_dim=5)).eval()


def test_longer_padding_changes_nothing(encoder):
    tokens, mask = pad(CAPTIONS)
    words, sentence = encoder(tokens, mask)
    longer = torch.cat([tokens, torch.full((3, 4), 7)], dim=1)  # whatever lies there
    longer_mask = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], dim=1)
    more_words, same_sentence = encoder(longer, longer_mask)
    torch.testing.assert_close(same_sentence, sentence)
    torch.testing.assert_close(more_words[:, :5], words)
    assert (more_words[:, 5:] == 0).all()


def test_words_are_zero_at_padding(encoder):
    tokens, mask = pad(CAPTIONS)
    words, _ = encoder(tokens, mask)
    assert (words[~mask] == 0).all()
    assert (words[mask].abs().sum(dim=1) > 0).all()


def test_a_batch_equals_its_captions_one_by_one(encoder):
    words, sentence = encoder(*pad(CAPTIONS))
    for row, caption in enumerate(CAPTIONS):
        alone, sentence_alone = encoder(*pad([caption]))
        torch.testing.assert_close(words[row, : len(caption)], alone[0])
        torch.testing.assert_close(sentence[row], sentence_alone[0])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
def test_captions_come_back_in_the_order_they_were_given(encoder, order):
    _, sentence = encoder(*pad(CAPTIONS))
    _, mixed = encoder(*pad([CAPTIONS[i] for i in order]))
    torch.testing.assert_close(mixed, sentence[order])


def test_the_sentence_is_the_last_state_of_each_direction(encoder):
    # Forward it ends at the last real word, backward at the first.
    tokens, mask = pad(CAPTIONS)
    words, sentence = encoder(tokens, mask)
    for row, caption in enumerate(CAPTIONS):
        torch.testing.assert_close(sentence[row, :3], words[row, len(caption) - 1, :3])
        torch.testing.assert_close(sentence[row, 3:], words[row, 0, 3:])


def test_dropout_is_for_training_only(encoder):
    tokens, mask = pad(CAPTIONS)
    assert torch.equal(encoder(tokens, mask)[1], encoder(tokens, mask)[1])
    encoder.train()
    assert not torch.equal(encoder(tokens, mask)[1], encoder(tokens, mask)[1])


@pytest.mark.parametrize(("words", "parameters"), [(5450, 2_075_320), (27_297, 8_629_420)])
def test_it_has_as_many_parameters_as_the_released_one(words, parameters):
    with torch.device("meta"):
        encoder = TextEncoder(TextEncoderConfig(vocabulary_size=words))
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_embeddings_start_between_minus_and_plus_a_tenth():
    weight = TextEncoder(TextEncoderConfig(vocabulary_size=200, text_dim=4)).embedding.weight
    assert 0.099 < weight.abs().max() <= 0.1


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="even, not 7"):
        TextEncoderConfig(vocabulary_size=3, text_dim=7)


def test_lengths_that_are_known_already_change_nothing(encoder):
    tokens, mask = pad(CAPTIONS)
    found = encoder(tokens, mask, torch.tensor([5, 1, 3]))
    for mine, theirs in zip(found, encoder(tokens, mask), strict=True):
        assert torch.equal(mine, theirs)
