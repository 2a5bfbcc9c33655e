// Units, and what is said first.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {fraction} from '../../../app/web/numbers.js';
import {Scene} from '../../../app/web/scene.js';
import {meaningOf, sinkSentence, speechOf, valueText} from '../../../app/web/sentences.js';
import {packed, redBird} from './examples.mjs';

const last = (drawing = redBird()) => Object.assign(new Scene(drawing), {stage: drawing.stages.length - 1});

test('shares of attention are percentages with two digits, the sentence has none', () => {
  assert.deepEqual([0, 0.0004, 0.0347, 0.0995, 0.417, 0.994, 1].map(fraction), ['0 %', '<0.1 %', '3.5 %', '10 %', '42 %', '>99 %', '100 %']);
  assert.equal(valueText('sentence', 3.73), '3.73');
  assert.equal(valueText('word', 0.42), '42 %');
});

test('word and sentence attention say what they are', () => {
  const scene = last();
  assert.match(meaningOf(scene.find('word 1')), /divides 100 % of its attention among the words/);
  assert.match(meaningOf(scene.find('sentence')), /length of its context vector.*do not share 100 %/);
});

test('what is said first of a word is the share of the picture that it wins', () => {
  const scene = last();
  scene.hot = 'word 2';
  assert.equal(speechOf(scene), '“bird” wins 25 % of the picture. Strongest: 70 % at row 2, column 2 of 2 × 2.');
  scene.hot = 'sentence';
  assert.equal(speechOf(scene), 'Whole caption: strongest 3.73 at row 2, column 2 of 2 × 2.');
});

test('a function word that holds the background is explained, where it does', () => {
  const scene = last();
  assert.match(sinkSentence(scene), /^“a” holds 50 % of the picture and 50 % of its edge.*attention sink/);
  scene.hot = 'word 0';
  assert.match(speechOf(scene), /attention sink/);
  const drawing = redBird();
  drawing.stages[1].words = packed(2, 2, [[0, 0, 0, 0], [0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9]]);
  assert.equal(sinkSentence(last(drawing)), null);
});
