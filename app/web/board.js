// What the tabs beside the mirror show: the `kind` of the value says which view; see app/tools_tab.py.

import {cards} from './cards.js';
import {models, pair} from './pairs.js';
import {reading} from './reading.js';
import {FilmStrip} from './strip.js';

/** @import {BoardValue, Send} from './types.js' */

/** A view of one kind of value. It is kept while the kind stays, so that a growing result does not flicker.
 * @typedef {{key: string, show: (value: any) => void, stop?: () => void}} View */

export class Board {
  /** @param {HTMLElement} root @param {{send?: Send | null}} [options] */
  constructor(root, {send = null} = {}) {
    this.root = root;
    this.send = send;
    /** @type {View | null} */
    this.view = null;
    root.classList.add('mv', 'mb');
  }

  /** @param {BoardValue | null | undefined} value */
  show(value) {
    if (!value) return;
    const key = value.kind === 'models' ? JSON.stringify(value.sides.map((side) => side.model)) : value.kind;
    if (this.view?.key !== key) {
      this.view?.stop?.();
      this.view = {...this.build(value), key};
    }
    this.view.show(value);
  }

  /** @param {BoardValue} value @returns {Omit<View, 'key'>} */
  build(value) {
    const {root, send} = this;
    if (value.kind === 'strip') {
      const strip = new FilmStrip(root);
      return {show: (next) => strip.show(next), stop: () => strip.stop()};
    }
    if (value.kind === 'cards') return {show: cards(root, value, send)};
    return {show: {pair, models, reading}[value.kind](root, /** @type {any} */ (value))};
  }
}
