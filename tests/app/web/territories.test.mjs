// Who won where.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {unpack} from '../../../app/web/maps.js';
import {divide, edgeShares, huesOf, isFunctionWord, labelsOf, roomOf, sinkOf} from '../../../app/web/territories.js';
import {packed} from './examples.mjs';

const near = (actual, wanted, apart = 1e-9) => assert.ok(Math.abs(actual - wanted) <= apart, `${actual} is not ${wanted}`);
/** Three words on 16 x 16 places: "a" the outside, "red" a disc on the left, "bird" one on the right, larger. */
const SIDE = 16;
function discs() {
  const inside = (at, x, y, radius) => Math.hypot((at % SIDE) - x, Math.floor(at / SIDE) - y) <= radius;
  const places = Array.from({length: SIDE * SIDE}, (_, at) => (inside(at, 3.5, 7.5, 2.6) ? 1 : inside(at, 10.5, 7.5, 3.6) ? 2 : 0));
  return divide(unpack(packed(SIDE, SIDE, [0, 1, 2].map((word) => places.map((winner) => (winner === word ? 0.6 : 0.2))))));
}
const NAMES = ['a', 'red', 'bird'];

test('a place goes to the word with the highest value, of equal ones to the first', () => {
  const {winners} = divide(unpack(packed(2, 2, [[0.5, 0.2, 0.4, 0.1], [0.3, 0.2, 0.6, 0.2], [0.2, 0.2, 0, 0.7]])));
  assert.deepEqual([...winners], [0, 0, 1, 2]);
});

test('shares count places and sum to one', () => {
  const {shares, winners} = discs();
  near(shares.reduce((sum, share) => sum + share, 0), 1);
  shares.forEach((share, word) => near(share, winners.filter((winner) => winner === word).length / SIDE ** 2));
  assert.ok(shares[0] > shares[2] && shares[2] > shares[1]);
});

test('finer territories have nearly the same shares', () => {
  const maps = unpack(packed(8, 8, [0, 1].map((word) => Array.from({length: 64}, (_, at) => ((at % 8 < 4) === (word === 0) ? 0.8 : 0.2)))));
  const fine = divide(maps, 24, 24);
  assert.equal(fine.winners.length, 576);
  near(fine.shares[0], divide(maps).shares[0], 0.03);
});

test('a name stands where its territory has the most room', () => {
  const labels = labelsOf(discs(), NAMES, () => ({width: 0.1, height: 0.1}));
  const [red, bird] = [1, 2].map((word) => labels.find((label) => label.word === word));
  near(red.x, 4 / SIDE, 1 / SIDE);
  near(bird.x, 11 / SIDE, 1 / SIDE);
  near(bird.y, 8 / SIDE, 1 / SIDE);
  assert.deepEqual(labels.map((label) => label.word), [2, 1, 0]);
});

test('room is the distance to the nearest other territory or border', () => {
  const room = roomOf(divide(unpack(packed(5, 5, [new Array(25).fill(1), new Array(25).fill(0)]))));
  assert.deepEqual([...room.slice(10, 15)], [0.5, 1.5, 2.5, 1.5, 0.5]);
});

test('a word that wins nothing has no name on the picture', () => {
  const labels = labelsOf(divide(unpack(packed(2, 1, [[0.9, 0.8], [0.1, 0.2]]))), ['red', 'bird'], () => ({width: 0.1, height: 0.1}));
  assert.deepEqual(labels.map((label) => label.word), [0]);
});

test('names do not cover each other, and stay on the picture', () => {
  const labels = labelsOf(discs(), NAMES, () => ({width: 0.3, height: 0.1}));
  assert.deepEqual(labels.map((label) => label.word).sort(), [0, 1, 2]);
  for (const {x, y} of labels) assert.ok(x >= 0.15 && x <= 0.85 && y >= 0.05 && y <= 0.95);
  assert.ok(labelsOf(discs(), NAMES, () => ({width: 0.9, height: 0.9})).length === 1);
});

test('a function word that holds the edge is a sink, any other word is not', () => {
  const territories = discs();
  assert.equal(edgeShares(territories)[0] > 0.9, true);
  assert.equal(sinkOf(territories, NAMES).word, 0);
  assert.equal(sinkOf(territories, ['sky', 'red', 'bird']), null);
  assert.equal(sinkOf(divide(unpack(packed(2, 2, [[0.1, 0.1, 0.1, 0.1], [0.9, 0.9, 0.9, 0.9]]))), ['a', 'red']), null);
});

const caption = (text) => text.split(' ').map((word, place) => ({text: word, place, near: null, cut: false, chance: null}));

test('function words are grey, and words that were not used have no colour', () => {
  const words = caption('a red blurple bird with wings').map((word, at) => ({...word, place: word.text === 'blurple' ? null : at - (at > 2 ? 1 : 0)}));
  const hues = huesOf(words).map(String);
  assert.equal(hues.length, 5);
  assert.equal(hues[0], hues[3]);
  assert.equal(new Set(hues).size, 4);
  assert.ok(isFunctionWord('The') && !isFunctionWord('black'));
});

test('a colour word has its own colour, and no other word has one like it', () => {
  const [yellow, bird, , black, wings] = huesOf(caption('yellow bird with black wings'));
  assert.ok(yellow[0] > 200 && yellow[1] > 180 && yellow[2] < 100);
  assert.ok(Math.max(...black) < 60);
  const all = huesOf(caption('yellow bird has blue wings orange crown green tail red bill pink belly'));
  for (const [at, one] of all.entries()) {
    for (const other of all.slice(0, at)) assert.ok(Math.hypot(...one.map((part, channel) => part - other[channel])) > 55, `${one} ${other}`);
  }
  assert.notDeepEqual(bird, wings);
});
