// What the tabs beside the mirror show: the `kind` of the value says which view; see app/tools_tab.py.

import {cards} from './cards.js';
import {make} from './dom.js';
import {models, pair} from './pairs.js';
import {reading} from './reading.js';
import {FilmStrip} from './strip.js';

/** @import {BoardValue, Send} from './types.js' */

/** A view of one kind of value. It is kept while the kind stays, so that a growing result does not flicker.
 * @typedef {{key: string, show: (value: any) => void, stop?: () => void}} View */

export class Board {
  /** @param {HTMLElement} root @param {{send?: Send | null, asked?: () => string}} [options] `asked` is what the result is
   * for; a later result may be for something else */
  constructor(root, {send = null, asked} = {}) {
    this.root = root;
    this.asked = asked;
    this.trouble = make('p', {class: 'mb-trouble', role: 'status'});
    this.body = make('div', {class: 'mb-body'});
    root.replaceChildren(this.trouble, this.body);
    this.send = send;
    /** @type {View | null} */
    this.view = null;
    root.classList.add('mv', 'mb');
  }

  /** @param {BoardValue | null | undefined} value */
  show(value) {
    if (!value) return;
    this.trouble.textContent = value.kind === 'trouble' ? value.text : '';
    if (value.kind === 'trouble') return;
    if (this.asked) this.root.dataset.asked = this.asked();
    this.root.removeAttribute('data-outdated');
    const key = value.kind === 'models' ? JSON.stringify(value.sides.map((side) => side.model)) : value.kind;
    if (this.view?.key !== key) {
      this.view?.stop?.();
      this.view = {...this.build(value), key};
    }
    this.view.show(value);
  }

  /** @param {Exclude<BoardValue, {kind: 'trouble'}>} value @returns {Omit<View, 'key'>} */
  build(value) {
    const {body: root, send} = this;
    if (value.kind === 'strip') {
      const strip = new FilmStrip(root);
      return {show: (next) => strip.show(next), stop: () => strip.stop()};
    }
    if (value.kind === 'cards') return {show: cards(root, value, send)};
    return {show: {pair, models, reading}[value.kind](root, /** @type {any} */ (value))};
  }
}
