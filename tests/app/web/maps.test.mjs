// Values, ends and samples of maps, without a page.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {contour, endsOf, isShrunk, sample, top, unpack, valueAt} from '../../../app/web/maps.js';
import {packed} from './examples.mjs';

const near = (actual, wanted, apart = 1e-6) => assert.ok(Math.abs(actual - wanted) <= apart, `${actual} is not ${wanted}`);

test('a byte is the root of the share of the way from low to high, for each map its own', () => {
  const maps = unpack(packed(2, 1, [[0, 1], [2, 6]]));
  assert.deepEqual([...maps.values], [0, 1, 2, 6]);
  const middle = unpack({...packed(3, 1, [[0, 0.25, 1]])});
  near(valueAt(middle, 0, 1), 0.25, 0.005);
  assert.equal(valueAt(maps, 1, 1), 6);
});

test('values are kept to within a step of the root', () => {
  const values = Array.from({length: 64}, (_, at) => (at / 63) ** 3);
  const maps = unpack(packed(8, 8, [values]));
  values.forEach((value, at) => near(Math.sqrt(valueAt(maps, 0, at)), Math.sqrt(value), 0.5 / 255 + 1e-6));
});

test('the ends of the scale are of one map, or of all together', () => {
  const maps = unpack(packed(2, 1, [[0.1, 0.4], [0.2, 0.8]]));
  const whole = {cut: false};
  for (const [shared, low, high] of [[false, 0.1, 0.4], [true, 0.1, 0.8]]) {
    const ends = endsOf(maps, 0, {...whole, shared});
    near(ends.low, low);
    near(ends.high, high);
    assert.equal(ends.peak, undefined);
  }
});

test('a single peak does not stretch the scale when peaks are cut', () => {
  const values = Array.from({length: 400}, (_, at) => (at === 7 ? 1 : at / 4000));
  const maps = unpack(packed(20, 20, [values]));
  const {low, high, peak} = endsOf(maps, 0, {shared: false, cut: true});
  assert.equal(low, 0);
  assert.equal(peak, 1);
  assert.equal(high, top(maps, 0));
  near(high, 0.099, 0.003);
  const above = maps.values.filter((value) => value > high).length;
  assert.ok(above > 0 && above <= 4, 'at most 1 % of 400 places');
});

test('as many samples as places are the values themselves', () => {
  const maps = unpack(packed(3, 2, [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]));
  assert.deepEqual([...sample(maps, 1, 3, 2)], [...maps.values.slice(6)]);
});

test('between two places lies their mean, and the border keeps its value', () => {
  const maps = unpack(packed(2, 2, [[0, 1, 0, 1]]));
  const row = [...sample(maps, 0, 4, 4).slice(0, 4)];
  [0, 0.25, 0.75, 1].forEach((value, at) => near(row[at], value));
  const [middle] = sample(unpack(packed(2, 2, [[0, 1, 2, 3]])), 0, 1, 1);
  near(middle, 1.5, 0.01);
});

test('width and height are not mixed up', () => {
  const maps = unpack(packed(4, 1, [[0, 0, 0, 1]]));
  const sampled = sample(maps, 0, 4, 8);
  for (let row = 0; row < 8; row++) assert.deepEqual([...sampled.slice(4 * row, 4 * row + 4)], [0, 0, 0, 1]);
});

test('the ends and the highest place are of the values that are drawn, also where the model has more places', () => {
  const whole = packed(2, 2, [[0.1, 0.2, 0.42, 0.3]]);
  const shrunk = unpack({...whole, rows: 4, columns: 4, high: [0.95], low: [0.05]});
  assert.ok(isShrunk(shrunk) && !isShrunk(unpack(whole)));
  const {data} = {...whole, high: [0.95], low: [0]};
  const maps = unpack({...whole, data: Buffer.from([...Buffer.from(data, 'base64')].map((byte) => byte >> 1)).toString('base64'), rows: 4, columns: 4, high: [0.95]});
  const {low, high} = endsOf(maps, 0, {shared: false, cut: false});
  assert.ok([...maps.values].includes(high) && [...maps.values].includes(low));
  assert.ok(high < 0.95);
  assert.equal(maps.summit[0], 2);
});

test('a contour lies where the map has the level, and closes around a peak', () => {
  const side = 33, middle = 16, cone = Array.from({length: side * side}, (_, at) => Math.max(0, 1 - Math.hypot((at % side) - middle, Math.floor(at / side) - middle) / 16));
  const maps = unpack(packed(side, side, [cone]));
  const lines = contour(maps, 0, 0.5);
  assert.ok(lines.length > 100);
  const ends = new Map();
  for (let at = 0; at < lines.length; at += 2) {
    near(Math.hypot(lines[at] * side - 0.5 - middle, lines[at + 1] * side - 0.5 - middle), 8, 0.15);
    const key = `${lines[at].toFixed(6)} ${lines[at + 1].toFixed(6)}`;
    ends.set(key, (ends.get(key) ?? 0) + 1);
  }
  assert.deepEqual([...new Set(ends.values())], [2]);
});

test('a flat map has no contour, a saddle has two lines', () => {
  assert.deepEqual(contour(unpack(packed(4, 4, [new Array(16).fill(0.3)])), 0, 0.2), []);
  assert.equal(contour(unpack(packed(2, 2, [[1, 0, 0, 1]])), 0, 0.5).length, 8);
});
