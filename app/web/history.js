// The drawings of this session.

import {make, named} from './dom.js';
import {keyOf} from './numbers.js';
import {MOST, keptOf, read, write} from './session.js';

/** @import {Drawing, Kept} from './types.js' */

export class History {
  /** @param {(drawing: Drawing) => void} recall @param {(kept: Kept) => void} reopen where only the picture was kept
   * @param {boolean} remembers over a refresh */
  constructor(recall, reopen, remembers) {
    this.element = make('div', {class: 'mv-history'});
    this.recall = recall;
    this.reopen = reopen;
    this.remembers = remembers;
    /** @type {Kept[]} */
    this.kept = remembers ? read().kept : [];
  }

  /** @param {Drawing} drawing */
  show(drawing) {
    if (!drawing.done || drawing.still) return;
    const key = keyOf(drawing);
    this.kept = [{...keptOf(drawing), drawing}, ...this.kept.filter((one) => keyOf(one) !== key)].slice(0, MOST);
    if (this.remembers) write({kept: this.kept.map(({drawing, ...kept}) => kept)});
    if (this.kept.length < 2) return;
    this.element.replaceChildren(make('h3', {}, 'Earlier in this session'), make('div', {class: 'mv-shelf'}, this.kept.map((one) =>
      make('button', {type: 'button', 'aria-current': keyOf(one) === key ? 'true' : null, title: `${one.caption} · seed ${one.seed}`,
        'aria-label': `${one.caption}, seed ${one.seed}`, onclick: () => (one.drawing ? this.recall(one.drawing) : this.reopen(one))},
      make('img', {src: one.image, alt: ''}), named(one.caption), make('small', {}, `seed ${one.seed}`)))));
  }
}
