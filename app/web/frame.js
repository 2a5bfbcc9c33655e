// The picture with a map over it, and the pointer in it.

import {contextOf, make} from './dom.js';
import {paintMap, paintPicture, wipe} from './painting.js';
import {nameOf} from './sentences.js';
import {settings} from './settings.js';

/** @import {Scene} from './scene.js' */

const SIDE = 512; // of the canvases, in pixels
const FINE = 256; // places a side at which a map is made smooth

/** @typedef {{point: (x: number, y: number, fixed: boolean) => void, click: (x: number, y: number) => void, leave: () => void, focus: () => void}} Pointing */

export class Frame {
  /** @param {Pointing} pointing */
  constructor(pointing) {
    this.picture = make('canvas', {class: 'mv-picture', width: SIDE, height: SIDE});
    this.overlay = make('canvas', {class: 'mv-overlay', width: SIDE, height: SIDE});
    this.cell = make('span', {class: 'mv-cell', hidden: true});
    this.flag = make('span', {class: 'mv-flag'});
    this.element = make('div', {class: 'mv-frame', role: 'application', tabindex: 0, 'aria-label': 'Picture'},
      this.picture, this.overlay, this.cell, this.flag, make('span', {class: 'mv-empty'}, 'No picture yet'));
    /** @type {HTMLImageElement[]} */
    this.images = [];
    this.listen(pointing);
  }

  /** @param {Pointing} pointing */
  listen({point, click, leave, focus}) {
    /** @param {PointerEvent | MouseEvent} event @returns {[number, number]} */
    const place = (event) => {
      const box = this.element.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    this.element.addEventListener('pointermove', (event) => {
      if (event.pointerType !== 'touch') point(...place(event), false);
    });
    this.element.addEventListener('pointerleave', leave);
    this.element.addEventListener('click', (event) => click(...place(event)));
    this.element.addEventListener('focus', () => { if (this.element.matches(':focus-visible')) focus(); });
    this.element.addEventListener('blur', leave);
  }

  /** @param {HTMLImageElement[]} images of the stages */
  show(images) {
    this.images = images;
  }

  /** @param {Scene} scene */
  paint(scene) {
    const {target} = scene;
    const found = target === null ? null : scene.find(target);
    paintPicture(this.picture, this.images, scene.blend, settings);
    wipe(this.overlay);
    if (found && 'map' in found) paintMap(this.overlay, found, settings, FINE);
    this.flag.textContent = found && 'map' in found ? nameOf(scene, found) : '';
    this.element.setAttribute('aria-label', `Drawing of: ${scene.drawing.caption}. ${scene.size} pixels. Arrow keys ask which words a place heard.`);
    const spot = scene.wordMaps && scene.spot;
    this.cell.hidden = !spot;
    if (spot) {
      this.cell.style.cssText = `left:${(100 * spot.column) / spot.width}%;top:${(100 * spot.row) / spot.height}%;width:${100 / spot.width}%;height:${100 / spot.height}%`;
      this.cell.classList.toggle('mv-fixed', spot.fixed);
    }
  }

  /** What is seen, as the address of a PNG. */
  view() {
    const canvas = make('canvas', {width: SIDE, height: SIDE});
    const context = contextOf(canvas);
    context.drawImage(this.picture, 0, 0);
    context.drawImage(this.overlay, 0, 0);
    return canvas.toDataURL('image/png');
  }
}
