// The numbers of the map that is shown, with its colour bar.

import {make, named} from './dom.js';
import {TOP, endsOf} from './maps.js';
import {number, percent} from './numbers.js';
import {colourBar} from './painting.js';
import {invitation, nameOf} from './sentences.js';
import {settings} from './settings.js';

/** @import {Scene} from './scene.js' */

export class Panel {
  constructor() {
    this.element = make('div', {class: 'mv-numbers'});
  }

  /** @param {Scene} scene */
  paint(scene) {
    const found = scene.target === null ? null : scene.find(scene.target);
    if (!found || 'missing' in found) {
      this.element.replaceChildren(make('p', {}, invitation(scene, matchMedia('(pointer: coarse)').matches)));
      return;
    }
    const {map, index} = found;
    const {low, high, peak} = endsOf(map, index, settings);
    const ofWords = map === scene.wordMaps;
    const word = scene.drawing.words.find((one) => one.place === index);
    const rows = [
      ['peak', number(map.high[index])],
      ['where', `row ${map.row[index] + 1}, column ${map.column[index] + 1} of ${map.rows} × ${map.columns}`],
      ['mean', number(map.mean[index])],
      ['entropy', `${map.entropy[index].toFixed(1)} of ${Math.log2(map.rows * map.columns).toFixed(0)} bits`],
    ];
    if (ofWords && word?.chance != null) rows.push(['expected by the reader', percent(word.chance)]);
    const scope = ofWords && settings.shared ? 'all words of this stage' : 'this map';
    this.element.replaceChildren(
      make('p', {class: 'mv-name'}, make('b', {}, named(nameOf(scene, found))), ` at ${scene.size} px`),
      make('div', {class: 'mv-bar'}, make('span', {}, number(low)), colourBar(settings), make('span', {}, `${peak === undefined ? '' : '≥ '}${number(high)}`)),
      make('p', {class: 'mv-ends'}, high > low ? `ends of the scale: ${scope}${peak === undefined ? '' : `, without the highest ${Math.round(100 * (1 - TOP))} % of places`}` : 'the same everywhere'),
      make('dl', {}, rows.map(([term, value]) => make('div', {}, make('dt', {}, term), make('dd', {}, value)))));
  }
}
