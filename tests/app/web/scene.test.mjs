// Which map belongs to what is pointed at, and what is said of it.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {Scene} from '../../../app/web/scene.js';
import {remarksOf, speechOf} from '../../../app/web/sentences.js';
import {packed, redBird} from './examples.mjs';

const last = (drawing = redBird()) => Object.assign(new Scene(drawing), {stage: drawing.stages.length - 1});

test('a word has the map of its place, the first stage has none', () => {
  const scene = last();
  assert.equal(scene.find('word 2').index, 2);
  assert.equal(scene.find('word 2').map, scene.maps[1].words);
  scene.stage = 0;
  assert.equal(scene.find('word 2').missing, 'deaf');
  assert.equal(scene.find('sentence').missing, 'first');
});

test('a word that was not used has no map and does not shift those of the others', () => {
  const scene = last(redBird({words: [
    {text: 'a', place: 0}, {text: 'blurple', place: null, near: 'purple'}, {text: 'red', place: 1}, {text: 'bird', place: 2}].map((word) => ({near: null, cut: false, chance: null, ...word}))}));
  assert.equal(scene.find('word 1').missing, 'unused');
  assert.equal(scene.find('word 2').index, 1);
  assert.match(remarksOf(scene).lines[0], /“blurple”.*“purple”/);
});

test('a word that was read back has the map of its partner, or the reader\'s own', () => {
  const scene = last();
  assert.deepEqual([scene.find('read 3').index, scene.find('read 3').partner], [1, 1]);
  assert.equal(scene.find('read 2').missing, 'unmatched');
  const drawing = redBird();
  drawing.read.maps = packed(1, 1, [[1], [1], [1], [1]]);
  assert.equal(last(drawing).find('read 2').index, 2);
});

test('matched words point at each other', () => {
  const scene = last();
  assert.deepEqual(scene.mates('word 1'), ['read 3']);
  assert.deepEqual(scene.mates('read 3'), ['word 1']);
  assert.deepEqual([scene.mates('read 2'), scene.mates('sentence')], [[], []]);
});

test('a place names its words by their shares', () => {
  const scene = last();
  assert.ok(scene.pointAt(0.9, 0.9, false));
  assert.deepEqual([scene.spot.row, scene.spot.column], [1, 1]);
  assert.match(speechOf(scene), /^This place listens to “bird” 70 %, “red” 20 %, “a” 10 %/);
});

test('a place stays where it is when the map of another stage has more places', () => {
  const drawing = redBird({sizes: [2, 4, 8]});
  drawing.stages.push({...drawing.stages[1], size: 8, words: packed(8, 8, [0, 1, 2].map((word) => Array.from({length: 64}, (_, at) => (at % 3 === word ? 1 : 0))))});
  const scene = last(drawing);
  scene.pointAt(0.8, 0.2, true);
  scene.stage = 1;
  scene.moveSpot();
  assert.deepEqual(scene.spot, {row: 0, column: 1, height: 2, width: 2, fixed: true});
});

test('what is pointed at stays in a drawing of the same words only', () => {
  const before = last(), same = last(redBird({seed: 2})), other = last(redBird({words: redBird().words.slice(1)}));
  before.pinned = 'word 1';
  same.follow(before);
  other.follow(before);
  assert.deepEqual([same.pinned, other.pinned], ['word 1', null]);
});

test('of a model with other sizes the stage of the nearest size is shown, for the last the last', () => {
  const three = last(redBird({sizes: [32, 64, 128], stages: [32, 64, 128].map((size) => ({...redBird().stages[0], size}))}));
  const five = last(redBird({sizes: [16, 32, 64, 128, 256], stages: [16, 32, 64, 128, 256].map((size) => ({...redBird().stages[0], size}))}));
  assert.equal(three.stageLike(five), 2);
  five.stage = 0;
  assert.equal(three.stageLike(five), 0);
  five.stage = 2;
  assert.equal(three.stageLike(five), 1);
  assert.equal(five.stageLike(three), 4);
});
