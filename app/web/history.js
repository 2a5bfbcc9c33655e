// The drawings of this session.

import {make} from './dom.js';
import {keyOf} from './numbers.js';

/** @import {Drawing} from './types.js' */

const KEPT = 24; // drawings that a session remembers

export class History {
  /** @param {(drawing: Drawing) => void} recall */
  constructor(recall) {
    this.element = make('div', {class: 'mv-history'});
    this.recall = recall;
    /** @type {Drawing[]} */
    this.kept = [];
  }

  /** @param {Drawing} drawing */
  show(drawing) {
    if (!drawing.done) return;
    const key = keyOf(drawing);
    this.kept = [drawing, ...this.kept.filter((one) => keyOf(one) !== key)].slice(0, KEPT);
    if (this.kept.length < 2) return;
    this.element.replaceChildren(make('h3', {}, 'Earlier in this session'), make('div', {class: 'mv-shelf'}, this.kept.map((one) =>
      make('button', {type: 'button', 'aria-current': keyOf(one) === key ? 'true' : null, title: `${one.caption} · seed ${one.seed}`,
        'aria-label': `${one.caption}, seed ${one.seed}`, onclick: () => this.recall(one)},
      make('img', {src: one.stages.at(-1)?.image, alt: ''})))));
  }
}
