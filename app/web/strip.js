// Frames that are moved through: a walk, less noise, an optimisation.

import {calm, contextOf, make, picture} from './dom.js';
import {graph} from './graph.js';

/** @import {StripValue} from './types.js' */

const SIDE = 512; // of the large picture, in pixels
const EACH = 420; // milliseconds from a frame to the next

export class FilmStrip {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.canvas = make('canvas', {class: 'mb-large', width: SIDE, height: SIDE, role: 'img', 'aria-label': 'Animation'});
    this.slider = make('input', {type: 'range', min: 0, max: 0, step: 0.05, value: 0, 'aria-label': 'Place on the way',
      oninput: () => { this.stop(); this.place(Number(this.slider.value)); }});
    this.button = make('button', {type: 'button', class: 'mb-button', onclick: () => (this.timer ? this.stop() : this.play())}, 'Play');
    this.title = make('p', {role: 'status'});
    this.row = make('div', {class: 'mb-frames'});
    this.save = make('p', {class: 'mb-save'});
    this.graph = make('div', {class: 'mb-graph'});
    root.replaceChildren(make('div', {class: 'mb-strip'},
      make('div', {}, this.canvas, make('div', {class: 'mb-player'}, this.button, this.slider), this.title), make('div', {}, this.row, this.graph, this.save)));
    /** @type {{image: string, title: string, picture: HTMLImageElement}[]} */
    this.frames = [];
    this.back = false;
    this.timer = 0;
  }

  /** @param {StripValue} value */
  show({frames, of, files = [], curve = null, best = null, there_and_back}) {
    const before = this.frames;
    if (frames.length < before.length) this.stop(); // another run begins
    this.frames = frames.map((frame, at) => ({...frame, picture: before[at]?.title === frame.title ? before[at].picture : picture(frame.image)}));
    this.back = there_and_back;
    this.row.replaceChildren(...frames.map(({title, image}, at) => make('button', {type: 'button', class: at === best ? 'mb-best' : null, 'aria-label': title,
      onclick: () => { this.stop(); this.place(at); }}, make('img', {src: image, alt: ''}))));
    this.slider.max = String(frames.length - 1);
    this.save.replaceChildren(...files.map((file) => make('a', {href: file.href, download: file.name}, file.label)));
    this.graph.replaceChildren(...(curve ? [graph(curve.title, [{name: '', points: curve.values.map((value, at) => [at, value])}])] : []));
    this.button.disabled = frames.length < 2;
    const done = frames.length === of, last = frames.length - 1;
    this.frames[last].picture.decode().catch(() => null).then(() => {
      if (this.frames.length !== last + 1) return; // more of them came meanwhile
      if (done && best !== null) this.place(best);
      else if (done && !calm() && !this.timer) this.play();
      else this.place(last);
    });
  }

  /** Shows the place between two frames. @param {number} at */
  place(at) {
    const low = Math.floor(at), high = Math.min(low + 1, this.frames.length - 1), share = at - low;
    const context = contextOf(this.canvas);
    context.imageSmoothingQuality = 'high';
    context.globalAlpha = 1;
    context.drawImage(this.frames[low].picture, 0, 0, SIDE, SIDE);
    if (share > 0) {
      context.globalAlpha = share;
      context.drawImage(this.frames[high].picture, 0, 0, SIDE, SIDE);
    }
    this.slider.value = String(at);
    this.title.textContent = this.frames[Math.round(at)].title;
  }

  play() {
    const began = performance.now();
    this.button.textContent = 'Pause';
    /** @param {number} now */
    const step = (now) => {
      if (!this.root.isConnected) return this.stop();
      const last = this.frames.length - 1, round = this.back ? 2 * last : last, at = Math.max(0, now - began) / EACH; // a frame may have begun before
      if (at >= round) { // once there, and back where the way is one to go back
        this.place(this.back ? 0 : last);
        return this.stop();
      }
      this.place(at <= last ? at : round - at);
      this.timer = requestAnimationFrame(step);
    };
    this.timer = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.button.textContent = 'Play';
  }
}
