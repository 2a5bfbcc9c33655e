// Drawings as app/payload.py makes them, small enough to be read.

/** Maps of width x height places, packed. */
export function packed(width, height, maps) {
  const low = maps.map((map) => Math.min(...map)), high = maps.map((map) => Math.max(...map));
  const bytes = maps.flatMap((map, at) => map.map((value) => Math.round(255 * Math.sqrt((value - low[at]) / (high[at] - low[at] || 1)))));
  const peaks = maps.map((map, at) => map.indexOf(high[at]));
  return {
    width, height, rows: height, columns: width, data: Buffer.from(bytes).toString('base64'), low, high,
    row: peaks.map((peak) => Math.floor(peak / width)), column: peaks.map((peak) => peak % width),
    mean: maps.map((map) => map.reduce((sum, value) => sum + value, 0) / map.length), entropy: maps.map(() => 0),
  };
}

/** A drawing of "a red bird" in two stages; "a" wins the upper half of the last one, "red" and "bird" a quarter each. */
export function redBird(change = {}) {
  return {
    caption: 'a red bird', asked: 'a red bird', seed: 1, model: 'birds', checkpoint: 'birds 1f09ab3c', sizes: [2, 4], max_words: 18,
    words: ['a', 'red', 'bird'].map((text, place) => ({text, place, near: null, cut: false, chance: 0.5})),
    stages: [
      {size: 2, image: '', words: null, sentence: null, masks: []},
      {size: 4, image: '', words: packed(2, 2, [[0.6, 0.7, 0.2, 0.1], [0.3, 0.2, 0.6, 0.2], [0.1, 0.1, 0.2, 0.7]]),
        sentence: packed(2, 2, [[1, 2, 3, 3.73]]), masks: []},
    ],
    done: true, timings: [['text', 4]], scores: [],
    read: {
      words: ['this', 'bird', 'is', 'red'], chances: [0.9, 0.8, 0.7, 0.6], complete: true, maps: null,
      verdict: 'It saw: red.', alternatives: [[['this', 0.9], ['a', 0.05]], [['bird', 0.8]], [['is', 0.7]], [['red', 0.6]]],
      typed: [{kind: 'function', status: 'neutral', partner: null, of: []}, {kind: 'colour', status: 'moved', partner: 3, of: ['bird']},
        {kind: 'noun', status: 'kept', partner: 1, of: []}],
      aligned: [],
      matches: [{kind: 'neutral', typed: [], read: [0]}, {kind: 'equal', typed: [2], read: [1]}, {kind: 'neutral', typed: [], read: [2]},
        {kind: 'moved', typed: [1], read: [3]}],
    },
    ...change,
  };
}
