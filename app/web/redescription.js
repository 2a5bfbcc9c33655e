// The sentence that was read back, word by word beside the caption.

import {markTargets} from './chips.js';
import {make, named, quiet, rove} from './dom.js';
import {percent} from './numbers.js';
import {scoreRows, timeRows} from './scores.js';
import {MEANINGS, SIGNS} from './sentences.js';

/** @import {MatchKind} from './types.js' */
/** @import {Scene} from './scene.js' */

/** The kinds of match that occur, each with its sign. @param {MatchKind[]} kinds */
export const legend = (kinds) => kinds.filter((kind) => SIGNS[kind]).map((kind) => make('span', {class: `mv-${kind}`}, make('b', {}, SIGNS[kind]), ` ${MEANINGS[kind]}`));

/** What else could stand there, as a line. @param {[string, number][] | undefined} ranked */
export const alternatives = (ranked) => ranked?.length ? ranked.map(([word, chance]) => `${word === '<end>' ? '(end)' : word} ${percent(chance)}`).join(', ') : null;

export class RedescriptionView {
  constructor() {
    this.element = make('div', {class: 'mv-read'});
    this.scores = make('dl', {class: 'mv-scores'});
  }

  /** @param {Scene} scene */
  show({drawing}) {
    this.scores.replaceChildren(...scoreRows(drawing.scores), ...timeRows(drawing));
    const {read, words} = drawing;
    if (!read) {
      this.element.replaceChildren(make('p', {class: 'mv-wait'}, drawing.done ? 'Nothing: this model has no reader (STREAM), so its pictures are not read back.'
        : 'Reading the picture…'));
      return;
    }
    /** @type {HTMLElement[]} */
    const items = [];
    for (const {kind, typed: from, read: to} of read.matches) {
      /** @param {Node[]} content @param {string} target @param {string} label */
      const add = (content, target, label) => items.push(make('button', {type: 'button', class: `mv-said mv-${kind}`, 'data-target': target,
        'aria-pressed': 'false', 'aria-label': label, title: target.startsWith('read') ? alternatives(read.alternatives[Number(target.slice(5))]) : null},
        SIGNS[kind] ? make('b', {'aria-hidden': 'true'}, SIGNS[kind]) : null, ...content));
      const instead = kind === 'replaced' ? `, for ${from.map((place) => words[place].text).join(' ')}` : '';
      for (const at of to) {
        add([named(read.words[at]), quiet(percent(read.chances[at]))], `read ${at}`,
          `${read.words[at]}, ${MEANINGS[kind]}${instead}, ${percent(read.chances[at])} sure`);
      }
      if (kind === 'dropped') for (const at of from) add([make('s', {}, named(words[at].text))], `word ${at}`, `${words[at].text}, ${MEANINGS.dropped}`);
    }
    rove(items);
    const kinds = new Set(read.matches.map((match) => match.kind));
    this.element.replaceChildren(
      make('p', {class: 'mv-text'}, read.words.join(' ') + (read.complete ? '' : ' …')),
      ...(read.verdict ? [make('p', {class: 'mv-verdict'}, named(read.verdict))] : []),
      make('div', {class: 'mv-sentence', role: 'toolbar', 'aria-label': 'Words of the redescription'}, items),
      make('p', {class: 'mv-legend'}, legend(/** @type {MatchKind[]} */ (Object.keys(SIGNS)).filter((kind) => kinds.has(kind))), make('span', {}, '% = the captioner\'s confidence in this word')));
  }

  /** @param {Scene} scene */
  paint(scene) {
    markTargets(this.element, scene);
  }
}
