// A drawing and what is pointed at in it: which map belongs to a word, which words a place attended to. Knows no page.

import {unpack, valueAt} from './maps.js';
import {clamp} from './numbers.js';
import {divide, sinkOf} from './territories.js';

/** @import {Colour, Drawing, Found, Match, Missing, Spot, StageMaps, TargetKind, Territories, Word} from './types.js' */

/** A target is written "kind place", such as "word 3"; there is one "sentence". @param {string} target
 * @returns {{kind: TargetKind, at: number}} */
export function parseTarget(target) {
  const [kind, at] = target.split(' ');
  return {kind: /** @type {TargetKind} */ (kind), at: Number(at ?? 0)};
}

export class Scene {
  /** @param {Drawing} drawing */
  constructor(drawing) {
    this.drawing = drawing;
    /** @type {StageMaps[]} */
    this.maps = drawing.stages.map((stage) => ({
      words: stage.words && unpack(stage.words),
      sentence: stage.sentence && unpack(stage.sentence),
      masks: stage.masks.map(unpack),
    }));
    this.readMaps = drawing.read?.maps ? unpack(drawing.read.maps) : null;
    this.stage = 0;
    /** Between two stages while the picture grows. */
    this.blend = 0;
    /** @type {string | null} */
    this.hot = null;
    /** @type {string | null} */
    this.pinned = null;
    /** @type {Spot | null} */
    this.spot = null;
    /** The picture is shown in territories. */
    this.divided = false;
    /** Mean colour of every stage's picture. @type {Colour[]} */
    this.means = drawing.stages.map(() => [128, 128, 128]);
    /** @type {Map<string, Territories>} */
    this.divisions = new Map();
  }

  /** What is pointed at, or else pinned. */
  get target() {
    return this.hot ?? this.pinned;
  }

  /** Word maps of the stage that is shown. */
  get wordMaps() {
    return this.maps[this.stage].words;
  }

  /** Masks are of the last stage. */
  get masks() {
    return /** @type {StageMaps} */ (this.maps.at(-1)).masks;
  }

  get hasWordMaps() {
    return this.maps.some((maps) => maps.words);
  }

  get hasSentenceMap() {
    return this.maps.some((maps) => maps.sentence);
  }

  /** All of its stages are there. */
  get complete() {
    return this.drawing.stages.length >= this.drawing.sizes.length;
  }

  get size() {
    return this.drawing.stages[this.stage].size;
  }

  /** Which word wins each place of the stage that is shown, or null; `finer` times as many places a side. */
  territories(finer = 1) {
    const map = this.wordMaps;
    if (!map) return null;
    const key = `${this.stage} ${finer}`;
    const known = this.divisions.get(key) ?? divide(map, finer * map.width, finer * map.height);
    this.divisions.set(key, known);
    return known;
  }

  /** The words on the L axis of the maps. */
  get knownWords() {
    return this.drawing.words.filter((word) => word.place !== null);
  }

  /** The function word that holds the background of this stage, or null. */
  get sink() {
    const territories = this.territories();
    return territories && sinkOf(territories, this.knownWords.map((word) => word.text));
  }

  /** Share of the picture that a word wins at this stage, or null. @param {Word} word */
  shareOf(word) {
    return word.place === null ? null : (this.territories()?.shares[word.place] ?? null);
  }

  /** Takes over what is pointed at in a drawing of the same words. @param {Scene} other */
  follow(other) {
    if (JSON.stringify(other.drawing.words.map((word) => word.text)) !== JSON.stringify(this.drawing.words.map((word) => word.text))) return;
    this.hot = other.hot;
    this.pinned = other.pinned;
    this.spot = other.spot;
  }

  /** @param {string} target */
  has(target) {
    const {kind, at} = parseTarget(target);
    if (kind === 'mask') return at < this.masks.length;
    return kind !== 'word' || at < this.drawing.words.length;
  }

  /** The match of a word in either sentence. @param {'typed' | 'read'} side @param {number} at
   * @returns {Match | undefined} */
  matchOf(side, at) {
    return this.drawing.read?.matches.find((match) => match[side].includes(at));
  }

  /** The map of a target at the stage that is shown. @param {string} target @returns {Found | Missing} */
  find(target) {
    const {kind, at} = parseTarget(target);
    const maps = this.maps[this.stage];
    if (kind === 'sentence') return maps.sentence ? {map: maps.sentence, index: 0, kind, at} : {missing: 'first', kind, at};
    if (kind === 'mask') return this.masks[at] ? {map: this.masks[at], index: 0, kind, at} : {missing: 'unknown', kind, at};
    if (kind === 'word') {
      const word = this.drawing.words[at];
      if (!word) return {missing: 'unknown', kind, at};
      if (word.place === null) return {missing: 'unused', kind, at};
      return maps.words ? {map: maps.words, index: word.place, kind, at} : {missing: 'deaf', kind, at};
    }
    if (this.readMaps) return {map: this.readMaps, index: at, kind, at};
    const match = this.matchOf('read', at);
    const partner = match?.typed[Math.min(match.typed.length - 1, match.read.indexOf(at))];
    if (partner === undefined) return {missing: 'unmatched', kind, at};
    const own = this.find(`word ${partner}`);
    return 'map' in own ? {...own, kind, at, partner} : {missing: 'unmatched', kind, at};
  }

  /** Targets that belong together: a word of one sentence and what stands for it in the other. @param {string} target */
  mates(target) {
    const {kind, at} = parseTarget(target);
    if (kind === 'sentence' || kind === 'mask') return [];
    const match = this.matchOf(kind === 'read' ? 'read' : 'typed', at);
    if (!match) return [];
    return kind === 'read' ? match.typed.map((place) => `word ${place}`) : match.read.map((place) => `read ${place}`);
  }

  /** Points at a place of the picture; false if this stage has no word maps.
   * @param {number} x in [0, 1], from the left @param {number} y in [0, 1], from the top @param {boolean} fixed */
  pointAt(x, y, fixed) {
    const map = this.wordMaps;
    this.spot = map && {
      row: clamp(Math.floor(y * map.height), 0, map.height - 1), column: clamp(Math.floor(x * map.width), 0, map.width - 1),
      height: map.height, width: map.width, fixed,
    };
    return map !== null;
  }

  /** Keeps the place that is pointed at where it is when the map of another stage has more or fewer places. */
  moveSpot() {
    const map = this.wordMaps, spot = this.spot;
    if (!map || !spot || (spot.height === map.height && spot.width === map.width)) return;
    this.pointAt((spot.column + 0.5) / spot.width, (spot.row + 0.5) / spot.height, spot.fixed);
  }

  /** How much the place that is pointed at attends to a word, or null. @param {Word} word */
  heard(word) {
    const map = this.wordMaps;
    return this.spot && map && word.place !== null ? valueAt(map, word.place, this.spot.row * map.width + this.spot.column) : null;
  }

  /** The stage whose size is nearest to that of the stage another scene shows; the last one for a last one.
   * @param {Scene} other */
  stageLike(other) {
    const own = this.drawing.stages.map(({size}) => size), {sizes} = other.drawing;
    if (other.stage === sizes.length - 1) return own.length - 1;
    const apart = own.map((size) => Math.abs(Math.log2(size / sizes[other.stage])));
    return apart.indexOf(Math.min(...apart));
  }
}
