// The numbers of the map that is shown, with its colour bar; or the legend of the territories.

import {markTargets} from './chips.js';
import {make, named, rove} from './dom.js';
import {TOP, endsOf, isShrunk} from './maps.js';
import {number, percent} from './numbers.js';
import {colourBar} from './painting.js';
import {invitation, meaningOf, nameOf, sinkSentence, valueText} from './sentences.js';
import {settings} from './settings.js';
import {huesOf} from './territories.js';

/** @import {Found} from './types.js' */
/** @import {Scene} from './scene.js' */

export class Panel {
  constructor() {
    this.element = make('div', {class: 'mv-numbers'});
    /** What is written here; it is written again only for something else. */
    this.written = '';
    /** @type {Scene | null} */
    this.scene = null;
  }

  /** @param {Scene} scene */
  paint(scene) {
    const asked = scene.target === null ? null : scene.find(scene.target);
    const found = asked && 'map' in asked ? asked : null;
    const divided = scene.divided && scene.wordMaps !== null && (!found || found.map === scene.wordMaps);
    const touch = matchMedia('(pointer: coarse)').matches;
    const written = JSON.stringify([scene.stage, divided, divided ? null : scene.target, settings, touch]);
    if (scene !== this.scene || written !== this.written) {
      this.element.replaceChildren(...(divided ? legendOf(scene) : found ? numbersOf(scene, found)
        : [make('p', {}, invitation(scene, touch)), make('p', {}, sinkSentence(scene) ?? '')]));
      this.written = written;
      this.scene = scene;
    }
    if (divided) markTargets(this.element, scene);
  }
}

/** Every word that wins a place, the largest territory first. @param {Scene} scene */
function legendOf(scene) {
  const hues = huesOf(scene.drawing.words);
  const rows = scene.drawing.words.flatMap((word, at) => {
    const share = scene.shareOf(word);
    return word.place === null || !share ? [] : [{at, share, text: word.text, hue: hues[word.place]}];
  }).sort((a, b) => b.share - a.share);
  const buttons = rows.map(({at, share, text, hue}) => make('button', {type: 'button', class: 'mv-land', 'data-target': `word ${at}`, 'aria-pressed': 'false',
    'aria-label': `${text}, ${percent(share)} of the picture`},
  make('span', {class: 'mv-hue', style: `background:rgb(${hue})`, 'aria-hidden': 'true'}), named(text), make('span', {class: 'mv-share'}, percent(share))));
  rove(buttons);
  const map = scene.wordMaps, sink = sinkSentence(scene);
  return [
    make('p', {}, make('b', {}, 'Who won where'), ` at ${scene.size} px: every place has the colour of the word that it listens to most. Function words are grey.`),
    make('div', {class: 'mv-lands', role: 'toolbar', 'aria-label': 'Shares of the picture', 'aria-orientation': 'vertical'}, buttons),
    make('p', {class: 'mv-ends'}, map ? `counted on ${map.height} × ${map.width} places` : ''),
    ...(sink ? [make('p', {}, sink)] : []),
  ];
}

/** @param {Scene} scene @param {Found} found */
function numbersOf(scene, found) {
  const {map, index, kind} = found;
  const {low, high, peak} = endsOf(map, index, settings);
  const ofWords = map === scene.wordMaps;
  const word = ofWords ? scene.knownWords[index] : null, share = word && scene.shareOf(word);
  const row = Math.floor(map.summit[index] / map.width) + 1, column = (map.summit[index] % map.width) + 1;
  const rows = [
    ['strongest', `${valueText(kind, map.highest[index])} at row ${row}, column ${column} of ${map.height} × ${map.width}`],
    ['mean', valueText(kind, map.mean[index])],
    ['entropy', `${map.entropy[index].toFixed(1)} of ${Math.log2(map.rows * map.columns).toFixed(0)} bits`],
  ];
  if (word?.chance != null) rows.push(['expected by the captioner', percent(word.chance)]);
  const scope = ofWords && settings.shared ? 'one scale for every word of this stage' : 'scale of this map alone';
  const clipped = peak === undefined ? '' : `; the highest ${Math.round(100 * (1 - TOP))} % of places share the last colour, up to ${valueText(kind, peak)}`;
  const shrunk = isShrunk(map) ? [make('p', {class: 'mv-ends'}, `Shown at ${map.height} × ${map.width}: each value is a mean of the model's ${map.rows} × ${map.columns} places, `
    + `whose highest is ${valueText(kind, map.high[index])}.`)] : [];
  const unit = kind === 'sentence' ? ' (length)' : '';
  return [
    make('p', {class: 'mv-name'}, make('b', {}, named(nameOf(scene, found))), share === null ? ` at ${scene.size} px` : ` wins ${percent(share)} of the picture at ${scene.size} px`),
    make('p', {}, meaningOf(found)),
    make('div', {class: 'mv-bar'}, make('span', {}, valueText(kind, low)), colourBar(kind, settings, scene.means[scene.stage]),
      make('span', {}, `${peak === undefined ? '' : '≥ '}${valueText(kind, high)}${unit}`)),
    make('p', {class: 'mv-ends'}, high > low ? scope + clipped : `the same everywhere: ${number(low)}`),
    make('dl', {}, rows.map(([term, value]) => make('div', {}, make('dt', {}, term), make('dd', {}, value)))),
    ...shrunk,
    ...(word && scene.sink?.word === index ? [make('p', {}, sinkSentence(scene))] : []),
  ];
}
