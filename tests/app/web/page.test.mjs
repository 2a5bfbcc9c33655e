// What the page around the mirror says and keeps, without a page.

import assert from 'node:assert/strict';
import {test} from 'node:test';
import {searchOf, titleOf} from '../../../app/web/address.js';
import {linesOf} from '../../../app/web/card.js';
import {placeOf} from '../../../app/web/gradio.js';
import {sentenceOf} from '../../../app/web/page.js';
import {MOST, parse} from '../../../app/web/session.js';
import {wordToTry} from '../../../app/web/welcome.js';

test('an address takes a drawing and keeps what is not about drawings', () => {
  const drawing = {caption: 'a red & blue bird?', seed: 7, model: 'birds'};
  assert.equal(searchOf(drawing, '?__theme=dark&seed=3&caption=x'), '?caption=a+red+%26+blue+bird%3F&seed=7&model=birds&__theme=dark');
  assert.equal(titleOf('x'.repeat(100)), `${'x'.repeat(69)}… - MirrorGAN`);
});

test('what a session kept is taken only where it is whole', () => {
  const kept = {caption: 'a', seed: 1, model: 'm', checkpoint: 'c', image: 'data:image/webp;base64,AA'};
  for (const broken of [null, '', '{', '[]', '7', '{"kept": 3, "caption": {}}']) {
    assert.deepEqual(parse(broken), {caption: '', seed: '', search: '', kept: []});
  }
  const others = [{...kept, seed: '1'}, {...kept, image: 'https://example.com/x.png'}, {...kept, image: 'javascript:1'}, null, {}];
  assert.deepEqual(parse(JSON.stringify({kept: [kept, ...others]})).kept, [kept]);
  assert.equal(parse(JSON.stringify({kept: Array(100).fill(kept)})).kept.length, MOST);
});

test('a screen reader hears the result, and the queue only where somebody is ahead', () => {
  assert.equal(sentenceOf({seed: 1, read: {words: ['this', 'bird']}}), 'Drawn with seed 1. It reads: this bird.');
  assert.equal(placeOf('queue: 2/3'), 'Others are drawing. You are number 2 of 3 in the queue.');
  assert.equal(placeOf('queue: 1/1'), 'Others are drawing. You are next in the queue.');
  assert.equal(placeOf('processing | 1.2s'), '');
});

test('a card holds every word, in lines that fit, and cuts what is too long', () => {
  const measure = (text) => text.length;
  for (const text of ['a small red bird with a short black beak', 'x'.repeat(45), `a ${'y'.repeat(25)} bird`, '', '  a   b ']) {
    const lines = linesOf(text, measure, 10, 99);
    assert.ok(lines.every((line) => line.length <= 10), JSON.stringify(lines));
    assert.equal(lines.join('').replaceAll(' ', ''), text.replaceAll(' ', ''));
  }
  assert.deepEqual(linesOf('one two three four', measure, 5, 2), ['one', 'tw…']);
});

test('a first visitor is asked to point at a colour, or else at the longest word', () => {
  assert.equal(wordToTry(['a', 'small', 'yellow', 'bird']), 2);
  assert.equal(wordToTry(['a', 'bird', 'standing']), 2);
});
