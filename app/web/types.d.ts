/** What the modules hand to each other. A drawing is made by app/payload.py, what a board shows by app/tools_tab.py. */

/** Maps as they come: K maps, a byte is 255 times the root of the share of the way from low to high. */
export interface PackedMaps {
  height: number;
  width: number;
  /** Of the whole maps; height and width may be less. */
  rows: number;
  columns: number;
  /** Base64 of K x height x width bytes. */
  data: string;
  low: number[];
  high: number[];
  /** Of the peak of the whole map, counted from 0. */
  row: number[];
  column: number[];
  mean: number[];
  /** In bits. */
  entropy: number[];
}

/** Maps that can be asked: values is K x height x width long. What is drawn is these values, so the ends and the peaks
 * below are of them; those above are of the whole maps. */
export interface Maps extends PackedMaps {
  values: Float32Array;
  lowest: number[];
  highest: number[];
  /** Of the highest value, row * width + column. */
  summit: number[];
  /** What `top` has found, by the place of a map or "all". */
  tops: Record<string, number>;
}

/** The values at both ends of the colours; `peak` is the highest value, where that is not the upper end. */
export interface Ends {
  low: number;
  high: number;
  peak?: number;
}

export interface Word {
  text: string;
  /** On the L axis of the word maps; null if the word was not used. */
  place: number | null;
  /** For an unknown word: the nearest known one. */
  near: string | null;
  /** It came after as many known words as the model takes. */
  cut: boolean;
  /** How likely the captioner finds it, given the words before it and the picture. */
  chance: number | null;
}

export interface Stage {
  size: number;
  /** Address of the picture. */
  image: string;
  words: PackedMaps | null;
  sentence: PackedMaps | null;
  masks: PackedMaps[];
}

export interface StageMaps {
  words: Maps | null;
  sentence: Maps | null;
  masks: Maps[];
}

export type MatchKind = 'equal' | 'moved' | 'replaced' | 'dropped' | 'added' | 'neutral';

export type Status = 'kept' | 'moved' | 'changed' | 'missing' | 'new' | 'neutral';

/** What became of a word in the other sentence; see mirrorgan.alignment.AlignedWord. */
export interface AlignedWord {
  kind: string;
  status: Status;
  partner: number | null;
  of: string[];
}

/** Words of the caption, and what stands for them in the sentence that was read back. */
export interface Match {
  kind: MatchKind;
  typed: number[];
  read: number[];
}

export interface Redescription {
  words: string[];
  chances: number[];
  /** The captioner ended the sentence itself. */
  complete: boolean;
  maps: PackedMaps | null;
  /** One line: what it saw, what moved, what changed, what was lost. */
  verdict: string | null;
  /** Of the words of the caption. */
  typed: AlignedWord[] | null;
  /** Of the words that were read back. */
  aligned: AlignedWord[] | null;
  /** Likeliest words at every word, best first. */
  alternatives: [string, number][][];
  matches: Match[];
}

export interface Score {
  name: string;
  value: number;
  /** null: there is no worst value. */
  low: number | null;
  high: number;
  meaning: string;
}

export interface Drawing {
  caption: string;
  /** The caption as it stood in its box. */
  asked: string;
  seed: number;
  /** Key of the checkpoint, for links. */
  model: string;
  checkpoint: string;
  /** Of all stages, also of those to come. */
  sizes: number[];
  words: Word[];
  max_words: number;
  stages: Stage[];
  done: boolean;
  read: Redescription | null;
  scores: Score[];
  /** Part and milliseconds. */
  timings: [string, number][];
  /** It comes for an empty box. */
  offered?: boolean;
  /** A picture that is shipped with the page: it has no maps, and stays until a model is there. */
  still?: boolean;
}

/** A drawing of before, as a session keeps it: its last picture, and what is needed to draw it again. */
export interface Kept {
  caption: string;
  seed: number;
  model: string;
  checkpoint: string;
  image: string;
  /** Where the page was not reloaded since. */
  drawing?: Drawing;
}

/** What app/stills/ holds as failures.json. */
export interface GalleryValue {
  cards: {caption: string; seed: number; model: string; says: string; read: string | null; image: string}[];
}

/** A word of the caption, the sentence, a mask or a word that was read back, by its place. */
export type TargetKind = 'word' | 'sentence' | 'mask' | 'read';

/** A map that was asked for. */
export interface Found {
  map: Maps;
  index: number;
  kind: TargetKind;
  /** The place of what was asked for. */
  at: number;
  /** For a word that was read back and has no map of its own: the caption's word whose map it is. */
  partner?: number;
}

/** Which word wins each place of a picture. */
export interface Territories {
  height: number;
  width: number;
  /** Place of the winning word on the L axis, row after row. */
  winners: Uint8Array;
  /** Share of the places that each word wins; they sum to 1. */
  shares: number[];
}

/** Red, green and blue, 0 to 255. */
export type Colour = [number, number, number];

/** A point of the picture, in [0, 1] from the left and from the top. */
export interface Point {
  x: number;
  y: number;
}

/** Why there is no map. */
export interface Missing {
  missing: 'unused' | 'deaf' | 'first' | 'unmatched' | 'unknown';
  kind: TargetKind;
  at: number;
}

/** The place that is pointed at, on a grid of height x width places. */
export interface Spot {
  row: number;
  column: number;
  height: number;
  width: number;
  fixed: boolean;
}

/** What the page around is asked for: a file, an earlier drawing, a drawing of a board. */
export type Send = (what: 'keep' | 'recall' | 'open', details: Record<string, unknown>) => void;

export interface MirrorOptions {
  /** Left out on a page of its own: it saves only what needs no server. */
  send?: Send | null;
  /** Stands under the picture: the boxes for seed and model, and the like. */
  controls?: HTMLElement | null;
  /** Words and picture only. */
  compact?: boolean;
  /** What stands in the caption's box at this moment, if there is one. */
  typed?: (() => {caption?: string; seed?: string}) | null;
}

/** What app/tools_tab.py yields, each with its kind. */
export interface PairValue {
  kind: 'pair';
  left: Drawing | null;
  right: Drawing | null;
  difference?: {title: string; image: string} | null;
  facts: string[];
  moved: {word: string; share: number}[];
}

export interface ModelsValue {
  kind: 'models';
  sides: {model: string; drawing: Drawing | null; trouble: string | null; read: string | null; scores: Score[]}[];
  judge: string | null;
}

export interface CardsValue {
  kind: 'cards';
  cards: {caption: string; seed: number; model: string; image: string; title: string; note: string}[];
  of: number;
  best?: boolean;
}

export interface StripValue {
  kind: 'strip';
  frames: {image: string; title: string}[];
  of: number;
  files?: {href: string; name: string; label: string}[];
  curve?: {title: string; values: number[]} | null;
  best?: number | null;
  there_and_back: boolean;
}

export interface ReadingValue {
  kind: 'reading';
  image: string;
  typed: string[];
  read: string[];
  chances: number[];
  complete: boolean;
  verdict: string | null;
  matches: Match[];
  scores: Score[];
  unused: string[];
  cut: string[];
  max_words: number;
}

export interface TroubleValue {
  kind: 'trouble';
  text: string;
}

export type BoardValue = TroubleValue | PairValue | ModelsValue | CardsValue | StripValue | ReadingValue;

export interface ExamplesValue {
  cards: {image: string; caption: string}[];
}

/** A line of a graph; its points are x, y. */
export interface Line {
  name: string;
  points: [number, number][];
}

/** What app/inside.py makes. */
export interface InsideValue {
  boxes: {part: string; name: string; does: string; at: string; dim?: number; parameters?: number}[];
  says: string;
  curves: {title: string; lines: Line[]}[];
  scores: {name: string; on: string; value: string; count: string; protocol: string}[];
}
