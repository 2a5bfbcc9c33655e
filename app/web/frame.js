// The picture with a map or with territories over it, and the pointer in it.

import {DIM} from './colours.js';
import {contextOf, make} from './dom.js';
import {finer, paintGrey, paintMap, paintNames, paintPicture, paintTerritories, wipe} from './painting.js';
import {nameOf} from './sentences.js';
import {settings} from './settings.js';
import {huesOf, isFunctionWord, labelsOf} from './territories.js';

/** @import {Found} from './types.js' */
/** @import {Scene} from './scene.js' */

const SIDE = 512; // of the canvases, in pixels
const FINE = 256; // points a side at which a map is made smooth, at most
const GROUND = 0.85; // brightness of the grey picture under territories, as in viewer.css

/** @typedef {{point: (x: number, y: number, fixed: boolean) => void, click: (x: number, y: number) => void, leave: () => void, focus: () => void}} Pointing */

export class Frame {
  /** @param {Pointing} pointing */
  constructor(pointing) {
    this.picture = make('canvas', {class: 'mv-picture', width: SIDE, height: SIDE});
    this.overlay = make('canvas', {class: 'mv-overlay', width: SIDE, height: SIDE});
    this.names = make('div', {class: 'mv-names', 'aria-hidden': 'true'});
    this.cell = make('span', {class: 'mv-cell', hidden: true});
    this.flag = make('span', {class: 'mv-flag'});
    this.element = make('div', {class: 'mv-frame', role: 'application', tabindex: 0, 'aria-label': 'Picture'},
      this.picture, this.overlay, this.names, this.cell, this.flag, make('span', {class: 'mv-empty'}, 'No picture yet'));
    /** @type {HTMLImageElement[]} */
    this.images = [];
    /** What the canvases show: they are painted again only for something else. */
    this.painted = {picture: '', overlay: ''};
    this.turn = 0;
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
    this.turn++;
  }

  /** @param {Scene} scene */
  paint(scene) {
    const {target} = scene;
    const asked = target === null ? null : scene.find(target);
    const found = asked && 'map' in asked ? asked : null;
    const divided = scene.divided && scene.wordMaps !== null && (found === null || found.map === scene.wordMaps);
    const picture = JSON.stringify([this.turn, scene.blend, settings.squares]);
    if (picture !== this.painted.picture) paintPicture(this.picture, this.images, scene.blend, settings);
    const overlay = JSON.stringify([this.turn, scene.stage, divided, found ? target : null, settings]);
    if (overlay !== this.painted.overlay) this.paintOverlay(scene, found, divided);
    this.painted = {picture, overlay};
    this.flag.textContent = found && !divided ? nameOf(scene, found) : '';
    this.element.setAttribute('aria-label', `Drawing of: ${scene.drawing.caption}. ${scene.size} pixels. Arrow keys ask which words a place listens to.`);
    const spot = scene.wordMaps && scene.spot;
    this.cell.hidden = !spot;
    if (spot) {
      this.cell.style.cssText = `left:${(100 * spot.column) / spot.width}%;top:${(100 * spot.row) / spot.height}%;width:${100 / spot.width}%;height:${100 / spot.height}%`;
      this.cell.classList.toggle('mv-fixed', spot.fixed);
    }
  }

  /** @param {Scene} scene @param {Found | null} found @param {boolean} divided */
  paintOverlay(scene, found, divided) {
    wipe(this.overlay);
    this.names.replaceChildren();
    if (divided) {
      const only = found?.index ?? null;
      const times = settings.squares ? 1 : finer(scene.territories()?.width ?? FINE, FINE);
      const territories = scene.territories(times);
      const hues = huesOf(scene.drawing.words), looks = scene.knownWords.map((word, at) => ({hue: hues[at], faint: isFunctionWord(word.text)}));
      if (territories) paintTerritories(this.overlay, territories, looks, only, !settings.squares);
      this.names.append(...this.labels(scene, this.element.clientWidth || SIDE).map(({x, y, text, word}) =>
        make('span', {style: `left:${100 * x}%;top:${100 * y}%`, class: only === null || only === word ? null : 'mv-pale'}, text)));
    } else if (found) paintMap(this.overlay, found, settings, {most: FINE, marks: true});
    this.element.dataset.light = divided ? 'territories' : found && settings.mode === 'spotlight' ? 'spotlight' : 'full';
  }

  /** Names of the territories on a picture so many pixels wide. @param {Scene} scene @param {number} wide */
  labels(scene, wide) {
    const names = scene.knownWords.map((word) => word.text), territories = scene.territories();
    if (!territories) return [];
    return labelsOf(territories, names, (name) => ({width: (8 * name.length + 18) / wide, height: 22 / wide})).map((label) => ({...label, text: names[label.word]}));
  }

  /** What is seen, as the address of a PNG. @param {Scene} scene */
  view(scene) {
    const canvas = make('canvas', {width: SIDE, height: SIDE});
    const context = contextOf(canvas), {light} = this.element.dataset;
    context.drawImage(this.picture, 0, 0);
    if (light !== 'full') paintGrey(canvas, light === 'spotlight' ? DIM : GROUND);
    context.drawImage(this.overlay, 0, 0);
    if (light === 'territories') paintNames(canvas, this.labels(scene, SIDE), 14);
    return canvas.toDataURL('image/png');
  }
}
