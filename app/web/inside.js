// The inside of a model: its parts, its training, its scores; see app/inside.py.

import {make} from './dom.js';
import {graph} from './graph.js';
import {followShown} from './shown.js';

/** @import {Drawing, InsideValue} from './types.js' */

/** @typedef {InsideValue['boxes'][number] & {node: HTMLElement, facts: HTMLElement}} Box */

export class Inside {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Box[]} */
    this.boxes = [];
    /** @type {Drawing | null} */
    this.last = null;
    root.classList.add('mv', 'mb');
    followShown((drawing) => { this.last = drawing; this.light(); });
  }

  /** @param {InsideValue | null | undefined} value */
  show(value) {
    if (!value?.boxes) return;
    this.boxes = value.boxes.map((box) => {
      const facts = make('dl');
      const node = make('div', {class: 'mb-box', 'data-part': box.part}, make('b', {}, box.name), make('small', {}, box.does), facts,
        box.parameters ? make('small', {class: 'mb-count'}, `${box.parameters.toLocaleString('en')} parameters`) : null);
      return {...box, node, facts};
    });
    const columns = [...new Set(this.boxes.map((box) => box.at))].map((at) =>
      make('div', {class: 'mb-column'}, this.boxes.filter((box) => box.at === at).map((box) => box.node)));
    const flow = make('div', {class: 'mb-flow', role: 'group', 'aria-label': 'Architecture, from the caption to the redescription'},
      columns.flatMap((column, at) => at ? [make('span', {class: 'mb-arrow', 'aria-hidden': 'true'}, '→'), column] : [column]));
    const sections = [make('h3', {}, 'From caption to caption'), make('p', {class: 'mb-says'}, value.says), flow];
    if (value.curves.length) {
      sections.push(make('h3', {}, 'How it was trained'), make('div', {class: 'mb-graphs'}, value.curves.map((curve) => graph(curve.title, curve.lines))));
    }
    if (value.scores.length) {
      sections.push(make('h3', {}, 'How good it is'), make('div', {class: 'mb-scroll', tabindex: 0, role: 'region', 'aria-label': 'Scores'}, make('table', {class: 'mb-table'},
        make('thead', {}, make('tr', {}, ['score', 'on', 'value', 'pictures', 'protocol'].map((name) => make('th', {scope: 'col'}, name)))),
        make('tbody', {}, value.scores.map((score) => make('tr', {}, make('th', {scope: 'row'}, score.name), make('td', {}, score.on),
          make('td', {class: 'mb-number'}, String(score.value)), make('td', {class: 'mb-number'}, String(score.count)), make('td', {}, score.protocol)))))));
    }
    if (!value.curves.length && !value.scores.length) sections.push(make('p', {}, 'This checkpoint brings no log and no scores.'));
    this.root.replaceChildren(...sections);
    this.light();
  }

  /** Boxes show the shapes and times of the last drawing. */
  light() {
    if (!this.last) return;
    const {stages, words, read, timings, seed} = this.last;
    const known = words.filter((word) => word.place !== null).length;
    const times = new Map(timings), most = Math.max(1, ...times.values());
    for (const {part, dim, node, facts} of this.boxes) {
      /** @type {[string, string][]} */
      const rows = [];
      const time = times.get(part);
      if (part === 'text') rows.push(['words', `${known} × ${dim}`], ['sentence', `${dim}`]);
      const stage = stages.find((one) => part === `stage ${one.size}`);
      if (stage) {
        rows.push(['picture', `3 × ${stage.size} × ${stage.size}`]);
        if (stage.words) rows.push(['word maps', `${known} × ${stage.words.rows} × ${stage.words.columns}`]);
        if (stage.sentence) rows.push(['sentence map', `${stage.sentence.rows} × ${stage.sentence.columns}`]);
      }
      if (part === 'read back' && read) rows.push(['sentence', `${read.words.length} words`]);
      if (part === 'noise') rows.push(['seed', `${seed}`], ['numbers', `${dim}`]);
      if (time !== undefined) rows.push(['time', `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`]);
      node.style.setProperty('--lit', time === undefined ? '0' : (0.12 + 0.6 * Math.sqrt(time / most)).toFixed(3));
      facts.replaceChildren(...rows.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))));
    }
  }
}
