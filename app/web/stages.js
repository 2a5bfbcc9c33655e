// The stages: one button each, and a slider from the first to the last.

import {make} from './dom.js';

/** @import {Scene} from './scene.js' */

export class Stages {
  /** @param {(blend: number) => void} slide called with the place between two stages */
  constructor(slide) {
    this.strip = make('div', {class: 'mv-strip', role: 'radiogroup', 'aria-label': 'Stage'});
    this.slider = make('input', {type: 'range', min: 0, max: 0, step: 0.02, value: 0, 'aria-label': 'From the first stage to the last',
      oninput: () => slide(Number(this.slider.value))});
    this.element = make('div', {class: 'mv-stages'}, this.strip, this.slider);
  }

  /** @param {Scene} scene */
  show({drawing, maps}) {
    const {stages, sizes} = drawing;
    this.slider.max = String(stages.length - 1);
    this.element.hidden = sizes.length < 2;
    this.strip.replaceChildren(...sizes.map((size, at) => {
      const there = at < stages.length, deaf = there && !maps[at].words;
      return make('button', {type: 'button', role: 'radio', 'data-stage': at, disabled: !there, 'aria-checked': 'false',
        'aria-label': `Stage ${at + 1}, ${size} pixels${deaf ? ', no word attention' : ''}`},
      there ? make('img', {src: stages[at].image, alt: ''}) : make('span', {class: 'mv-coming'}), `${size} px`);
    }));
  }

  /** @param {Scene} scene */
  paint(scene) {
    [...this.strip.children].forEach((button, at) => {
      button.setAttribute('aria-checked', String(at === scene.stage));
      button.setAttribute('tabindex', at === scene.stage ? '0' : '-1');
    });
    this.slider.value = String(scene.blend);
    this.slider.setAttribute('aria-valuetext', `${scene.size} pixels`);
  }
}
