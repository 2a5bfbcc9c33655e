// The mirror: a drawing that explains itself by being touched. Nothing is fetched.

import {card} from './card.js';
import {Chips} from './chips.js';
import {controls} from './controls.js';
import {calm, make, picture} from './dom.js';
import {Frame} from './frame.js';
import {History} from './history.js';
import {clamp, keyOf} from './numbers.js';
import {meanOf} from './painting.js';
import {Panel} from './panel.js';
import {RedescriptionView} from './redescription.js';
import {Saving} from './saving.js';
import {Scene} from './scene.js';
import {speechOf, whyDeaf} from './sentences.js';
import {followSettings} from './settings.js';
import {Sheet} from './sheet.js';
import {announceShown} from './shown.js';
import {Stages} from './stages.js';

/** @import {Drawing, MirrorOptions} from './types.js' */

const REPLAY = {done: [900, 450], growing: [320, 160]}; // milliseconds from first to last stage, and between two at most
/** @type {Record<string, number>} */
const STEPS = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};

let groups = 0; // of controls on this page

export class Mirror {
  /** @param {HTMLElement} root @param {MirrorOptions} [options] */
  constructor(root, {send = null, compact = false, typed = null, controls: below = null} = {}) {
    this.root = root;
    this.compact = compact;
    this.typed = typed;
    this.below = below;
    /** @type {Scene | null} */
    this.scene = null;
    /** @type {Drawing | null} */
    this.coming = null;
    this.turn = 0;
    /** The stage that was asked for; undefined is the last one. @type {number | undefined} */
    this.chosen = undefined;
    /** @type {number | null} */
    this.frameRequest = null;
    /** Those that are pointed at together with this one. @type {Mirror[]} */
    this.partners = [];
    this.chips = new Chips(compact ? null : () => this.divide());
    this.frame = new Frame({
      point: (x, y, fixed) => this.pointAt(x, y, fixed),
      click: (x, y) => this.clickAt(x, y),
      leave: () => this.leave(),
      focus: () => { if (!this.scene?.spot) this.pointAt(0.5, 0.5, false); },
    });
    this.say = make('p', {class: 'mv-say', role: 'status'});
    this.stages = new Stages((blend) => this.slide(blend));
    this.full = compact ? null : {
      panel: new Panel(),
      read: new RedescriptionView(),
      saving: new Saving(send, () => (this.scene ? this.frame.view(this.scene) : ''), (text) => this.tell(text), () => this.card()),
      sheet: new Sheet(),
      history: new History((drawing) => {
        send?.('recall', {caption: drawing.caption, seed: drawing.seed, model: drawing.model});
        this.show(drawing, false);
      }, ({caption, seed, model}) => send?.('open', {caption, seed, model}), send !== null),
    };
    this.remembers = send !== null;
    this.arrange();
    this.listen();
    followSettings(() => this.repaint());
  }

  arrange() {
    this.root.classList.add('mv');
    this.root.dataset.state = 'empty';
    const middle = make('section', {class: 'mv-middle', 'aria-label': 'The picture'}, this.frame.element, this.say, this.stages.element, this.below);
    if (!this.full) {
      this.root.classList.add('mv-compact');
      this.root.replaceChildren(middle, this.chips.element, this.chips.note);
      return;
    }
    const {panel, read, saving, sheet, history} = this.full;
    this.root.replaceChildren(
      make('div', {class: 'mv-columns'},
        make('section', {class: 'mv-left', 'aria-label': 'The caption'}, make('h2', {}, 'Your caption'), this.chips.element, this.chips.button, this.chips.note, panel.element),
        middle,
        make('section', {class: 'mv-right', 'aria-label': 'The redescription'}, make('h2', {}, 'What the model sees in its picture'), read.element, read.scores)),
      make('div', {class: 'mv-below'}, controls(++groups), saving.element), sheet.element, history.element);
  }

  listen() {
    /** @param {Event} event @returns {HTMLElement | null} */
    const chip = (event) => (event.target instanceof Element ? event.target.closest('[data-target]') : null);
    this.root.addEventListener('pointerover', (event) => {
      const target = chip(event)?.dataset.target;
      if (event.pointerType !== 'touch' && target) this.point(target);
    });
    this.root.addEventListener('pointerout', (event) => {
      const button = chip(event);
      if (button && !button.contains(/** @type {Node | null} */ (event.relatedTarget))) this.point(null);
    });
    this.root.addEventListener('focusin', (event) => {
      const button = chip(event);
      if (button?.matches(':focus-visible')) this.point(button.dataset.target ?? null);
    });
    this.root.addEventListener('focusout', (event) => { if (chip(event)) this.point(null); });
    this.root.addEventListener('click', (event) => {
      const button = event.target instanceof Element ? event.target.closest('button') : null;
      if (!button || !this.root.contains(button)) return;
      const {target, stage} = button.dataset;
      if (stage !== undefined) this.choose(Number(stage));
      if (target !== undefined) this.pin(target);
    });
    this.root.addEventListener('keydown', (event) => this.walk(event));
  }

  // What is shown

  /** Shows a drawing once its pictures are there; the latest call wins. @param {Drawing | null | undefined} drawing */
  async show(drawing, fresh = true) {
    if (!drawing?.stages?.length || (fresh && this.isLate(drawing))) return;
    const turn = ++this.turn;
    this.coming = drawing; // its pictures may still be on their way when the next one arrives
    const images = drawing.stages.map((stage) => picture(stage.image));
    await Promise.all(images.map((image) => image.decode().catch(() => null)));
    if (turn !== this.turn) return;
    const before = this.scene, scene = new Scene(drawing);
    const growing = before && keyOf(before.drawing) === keyOf(drawing);
    if (before) scene.follow(before);
    scene.divided = before?.divided ?? false;
    scene.means = images.map(meanOf);
    this.scene = scene;
    const last = drawing.stages.length - 1;
    const wanted = Math.min(this.chosen ?? last, last);
    this.root.dataset.state = drawing.still ? 'still' : drawing.done ? 'read' : 'sketch';
    this.root.dataset.stages = String(drawing.stages.length);
    this.frame.show(images);
    this.chips.show(scene);
    this.stages.show(scene);
    if (this.full) {
      this.full.read.show(scene);
      this.full.saving.show(drawing);
      this.full.sheet.show(scene, images);
      if (this.remembers) this.full.history.show(drawing);
      announceShown(drawing);
    }
    this.grow(fresh && this.full && drawing.done && !growing ? 0 : Math.min(before?.blend ?? 0, wanted), wanted);
  }

  /** True for a sketch of what is already here, or coming, in full, or of something that was typed before it.
   * @param {Drawing} drawing */
  isLate(drawing) {
    const here = this.coming;
    if (!here?.done || here.still || drawing.done) return false;
    if (keyOf(drawing) === keyOf(here)) return true;
    const typed = this.typed?.();
    return here.asked === typed?.caption && String(here.seed) === typed.seed && drawing.asked !== typed.caption;
  }

  /** Lets the picture grow from one stage to another. @param {number} from @param {number} to */
  grow(from, to) {
    const {scene} = this;
    if (!scene) return;
    this.stop();
    scene.stage = to;
    if (calm() || from >= to || document.hidden) {
      scene.blend = to;
      this.repaint();
      return;
    }
    const [all, each] = REPLAY[scene.drawing.done ? 'done' : 'growing'];
    const began = performance.now(), length = Math.min(each, all / (scene.drawing.sizes.length - 1)) * (to - from);
    this.root.dataset.growing = '';
    /** @param {number} now */
    const step = (now) => {
      const share = clamp((now - began) / length, 0, 1);
      scene.blend = from + (to - from) * share;
      if (share === 1) this.stop();
      else this.frameRequest = requestAnimationFrame(step);
      this.repaint();
    };
    scene.blend = from;
    this.repaint();
    this.frameRequest = requestAnimationFrame(step);
  }

  stop() {
    if (this.frameRequest !== null) cancelAnimationFrame(this.frameRequest);
    this.frameRequest = null;
    delete this.root.dataset.growing;
  }

  /** Shows a place between two stages. @param {number} blend */
  slide(blend) {
    if (!this.scene) return;
    this.stop();
    this.scene.blend = blend;
    this.scene.stage = Math.round(blend);
    this.repaint();
  }

  /** Shows a stage; whoever leads takes the mirrors that are pointed at together along. @param {number} stage */
  choose(stage, leads = true) {
    const {scene} = this;
    if (!scene) return;
    this.stop();
    this.chosen = stage === scene.drawing.sizes.length - 1 ? undefined : stage;
    scene.stage = scene.blend = stage;
    this.repaint();
    if (leads) for (const partner of this.partners) if (partner.scene) partner.choose(partner.scene.stageLike(scene), false);
  }

  // Pointing, pinning, walking

  /** @param {string | null} target */
  point(target) {
    if (this.scene?.hot === target) return;
    for (const {scene} of [this, ...this.partners]) if (scene) scene.hot = target && scene.has(target) ? target : null;
    for (const mirror of [this, ...this.partners]) mirror.repaint();
  }

  /** @param {string} target */
  pin(target) {
    const pinned = this.scene?.pinned === target ? null : target;
    for (const {scene} of [this, ...this.partners]) if (scene) scene.pinned = pinned && scene.has(pinned) ? pinned : null;
    for (const mirror of [this, ...this.partners]) mirror.repaint();
  }

  /** Shows territories, or the picture as it is. */
  divide() {
    if (!this.scene) return;
    this.scene.divided = !this.scene.divided;
    this.repaint();
  }

  release() {
    if (!this.scene) return;
    this.scene.hot = this.scene.pinned = this.scene.spot = null;
    this.repaint();
  }

  /** @param {number} x @param {number} y @param {boolean} fixed */
  pointAt(x, y, fixed) {
    const {scene} = this;
    if (!scene || (scene.spot?.fixed && !fixed)) return;
    const before = scene.spot, heard = scene.pointAt(x, y, fixed), now = scene.spot;
    if (!fixed && before && now && before.row === now.row && before.column === now.column) return;
    this.repaint();
    if (!heard && fixed) this.tell(whyDeaf(scene));
  }

  /** A click keeps a place; another one on the same place lets everything go. @param {number} x @param {number} y */
  clickAt(x, y) {
    const before = this.scene?.spot ?? null;
    this.pointAt(x, y, true);
    const now = this.scene?.spot;
    if (before?.fixed && now && before.row === now.row && before.column === now.column) {
      /** @type {Scene} */ (this.scene).pinned = null;
      /** @type {Scene} */ (this.scene).spot = null;
      this.repaint();
    }
  }

  leave() {
    if (!this.scene?.spot || this.scene.spot.fixed) return;
    this.scene.spot = null;
    this.repaint();
  }

  /** Arrow keys walk through words, stages and places; Escape lets go. @param {KeyboardEvent} event */
  walk(event) {
    const {key} = event, step = STEPS[key];
    if (key === 'Escape') {
      this.release();
      return;
    }
    if (event.target === this.frame.element) {
      if (step && this.scene) {
        event.preventDefault();
        this.stepFrom(this.scene, step, key === 'ArrowLeft' || key === 'ArrowRight');
      }
      return;
    }
    const group = event.target instanceof Element ? event.target.closest('[role=toolbar], [role=radiogroup]') : null;
    if (!group || (!step && key !== 'Home' && key !== 'End')) return;
    const buttons = /** @type {HTMLElement[]} */ ([...group.querySelectorAll('button:not(:disabled)')]);
    const here = buttons.findIndex((button) => button === event.target);
    if (here < 0) return;
    event.preventDefault();
    const next = buttons[key === 'Home' ? 0 : key === 'End' ? buttons.length - 1 : (here + step + buttons.length) % buttons.length];
    for (const button of buttons) button.setAttribute('tabindex', button === next ? '0' : '-1');
    next.focus();
    const {target, stage} = next.dataset;
    if (target) this.point(target);
    if (stage) this.choose(Number(stage));
  }

  /** @param {Scene} scene @param {number} step @param {boolean} across */
  stepFrom(scene, step, across) {
    const {height = 8, width = 8} = scene.wordMaps ?? {};
    const {row = height >> 1, column = width >> 1} = scene.spot ?? {};
    const jump = Math.max(1, width >> 4) * step;
    this.pointAt((column + (across ? jump : 0) + 0.5) / width, (row + (across ? 0 : jump) + 0.5) / height, true);
  }

  /** Address of a card with what is seen. */
  async card() {
    if (!this.scene) return '';
    const view = picture(this.frame.view(this.scene));
    await view.decode();
    return card(view, this.scene.drawing, location.protocol.startsWith('http') ? location.host : '');
  }

  /** @param {string} text */
  tell(text) {
    if (this.say.textContent !== text) this.say.textContent = text;
  }

  repaint() {
    const {scene} = this;
    if (!scene) return;
    scene.moveSpot();
    this.frame.paint(scene);
    this.chips.paint(scene);
    this.stages.paint(scene);
    this.full?.panel.paint(scene);
    this.full?.read.paint(scene);
    this.tell(speechOf(scene));
    this.full?.sheet.paint(scene);
  }
}

/** Mirrors that are pointed at together. @param {Mirror[]} group */
export function link(...group) {
  for (const mirror of group) mirror.partners = group.filter((other) => other !== mirror);
}
