// The colours of a map and of its bar, without a page.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {BANDS, colourNames, cover, dimmed, over, palette} from '../../../app/web/colours.js';

const plain = {colours: 'gray', opacity: 1, clear: false};
const colour = (colours, at) => [...colours.slice(4 * at, 4 * at + 4)];

test('without fading the colours are the table, from low to high', () => {
  const colours = palette(plain);
  for (const at of [0, 64, 255]) assert.deepEqual(colour(colours, at), [at, at, at, 255]);
});

test('what is low lets the picture through, what is high hides it as far as the opacity says', () => {
  const colours = palette({...plain, clear: true, opacity: 0.5});
  assert.ok(colours[3] < 15);
  assert.equal(colours[4 * 255 + 3], 128);
  for (let at = 1; at < 256; at++) assert.ok(colours[4 * at + 3] >= colours[4 * at - 1]);
  assert.equal(cover(1, true), 1);
});

test('bands are as many as they say, and their ends are the ends of the table', () => {
  const bands = palette(plain, BANDS);
  assert.equal(new Set(Array.from({length: 256}, (_, at) => bands[4 * at])).size, BANDS);
  assert.deepEqual([bands[0], bands[4 * 255]], [0, 255]);
});

test('a colour over a picture is what a canvas makes of it', () => {
  const colours = palette({...plain, opacity: 0.4});
  assert.deepEqual(over([100, 50, 0], colours, 255), [162, 132, 102]);
  assert.deepEqual(over([1, 2, 3], palette({...plain, opacity: 0}), 200), [1, 2, 3]);
});

test('grey is as light as the colour was, times the brightness', () => {
  assert.deepEqual(dimmed([255, 255, 255], 0.45), [115, 115, 115]);
  assert.deepEqual(dimmed([0, 255, 0], 1), [182, 182, 182]);
});

test('every map only grows lighter', () => {
  for (const colours of colourNames) {
    const drawn = palette({...plain, colours});
    const light = (at) => dimmed(colour(drawn, at), 1)[0];
    for (let at = 1; at < 256; at++) assert.ok(light(at) >= light(at - 1) - 1, `${colours} ${at}`);
    assert.ok(light(255) - light(0) > 140);
  }
});
