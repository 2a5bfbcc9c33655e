// All maps of a drawing at once, small.

import {DIM} from './colours.js';
import {make, named} from './dom.js';
import {keyOf} from './numbers.js';
import {paintGrey, paintMap, paintPicture} from './painting.js';
import {WHOLE, valueText} from './sentences.js';
import {settings} from './settings.js';

/** @import {TargetKind} from './types.js' */
/** @import {Scene} from './scene.js' */

const TILE = 96; // pixels

export class Sheet {
  constructor() {
    this.summary = make('summary');
    this.tiles = make('div', {class: 'mv-sheet'});
    this.element = make('details', {class: 'mv-all', ontoggle: () => { if (this.scene) this.paint(this.scene); }}, this.summary, this.tiles);
    /** @type {Scene | null} */
    this.scene = null;
    /** @type {HTMLImageElement[]} */
    this.images = [];
    this.key = '';
  }

  /** @param {Scene} scene @param {HTMLImageElement[]} images */
  show(scene, images) {
    this.scene = scene;
    this.images = images;
    this.summary.textContent = scene.hasWordMaps || !scene.masks.length ? 'All words at all stages' : 'All masks';
    this.element.hidden = !scene.hasWordMaps && !scene.hasSentenceMap && !scene.masks.length;
  }

  /** Tiles are made when they are seen, and again when they look different. @param {Scene} scene */
  paint(scene) {
    if (!this.element.open || scene.blend !== scene.stage) return;
    const key = JSON.stringify([keyOf(scene.drawing), scene.drawing.stages.length, settings]);
    if (key !== this.key) {
      this.key = key;
      this.build(scene);
    }
    for (const tile of this.tiles.querySelectorAll('button')) {
      tile.setAttribute('aria-pressed', String(tile.dataset.target === scene.pinned && Number(tile.dataset.stage) === scene.stage));
    }
  }

  /** @param {Scene} scene */
  build({drawing, maps, masks}) {
    /** @param {string} name @param {string} target @param {number} stage @param {number} index */
    const tile = (name, target, stage, index, map = maps[stage][target === 'sentence' ? 'sentence' : 'words']) => {
      if (!map) return [];
      const canvas = make('canvas', {width: TILE, height: TILE});
      paintPicture(canvas, this.images, stage, settings);
      if (settings.mode === 'spotlight') paintGrey(canvas, DIM);
      const kind = /** @type {TargetKind} */ (target.split(' ')[0]);
      paintMap(canvas, {map, index, kind, at: index}, settings, {most: TILE, marks: false});
      const peak = valueText(kind, map.highest[index]), size = target.startsWith('mask') ? map.rows : drawing.stages[stage].size;
      return [make('button', {type: 'button', 'data-target': target, 'data-stage': stage, 'aria-pressed': 'false',
        'aria-label': `${name}, ${size} pixels, up to ${peak}`}, canvas, `${size} px · ≤ ${peak}`)];
    };
    /** @param {string} name @param {HTMLElement[]} tiles */
    const row = (name, tiles) => (tiles.length ? [make('div', {class: 'mv-tile'}, make('b', {}, named(name)), make('div', {}, tiles))] : []);
    /** @param {string} name @param {string} target @param {number} index */
    const stages = (name, target, index) => row(name, maps.flatMap((_, stage) => tile(name, target, stage, index)));
    const last = maps.length - 1;
    this.tiles.replaceChildren(
      ...drawing.words.flatMap((word, at) => (word.place === null ? [] : stages(word.text, `word ${at}`, word.place))),
      ...stages(WHOLE, 'sentence', 0),
      ...masks.flatMap((mask, at) => row(`mask ${at + 1}`, tile(`mask ${at + 1}`, `mask ${at}`, last, 0, mask))));
    if (!this.tiles.children.length) this.tiles.append(make('p', {}, 'This model has no maps.'));
  }
}
