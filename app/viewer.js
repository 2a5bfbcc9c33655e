// The mirror: a drawing that explains itself by being touched. Plain JavaScript; nothing is fetched.
//
// MirrorGAN.mount(root, {tables, send}) builds the viewer into `root` and returns {show(payload)}.
//   tables   colour maps by name: base64 of 256 x 3 bytes; MirrorGAN.tables if left out
//   send     called with (what, details) for what only the page around can do; null on a page of its own
//   compact  words and picture only
// The payload is made by app/payload.py. Text enters the page through textContent only.
window.MirrorGAN ??= (() => {
  'use strict';

  const SIGNS = {equal: '=', moved: '⇄', replaced: '≠', dropped: '−', added: '+'};
  const MEANINGS = {equal: 'the same word', moved: 'the same, elsewhere', replaced: 'another word', dropped: 'not read back', added: 'only read back'};
  const FILES = [
    ['png', 'PNG', 'The picture'],
    ['zip', 'Everything', 'All stages and maps as PNG, .npz and JSON'],
    ['gif', 'GIF', 'The stages growing'],
    ['webp', 'WebP', 'The stages growing, sharper'],
    ['npz', 'Maps', 'Attention as numbers, NumPy .npz'],
    ['json', 'JSON', 'Words, sentence, scores, times'],
    ['pdf', 'Figure PDF', 'A figure as papers print it'],
    ['figure', 'Figure PNG', 'The same figure as pixels'],
    ['html', 'HTML', 'This viewer with this drawing, works offline'],
  ];
  const SIDE = 512; // of the large canvases, in pixels
  const FINE = 256; // places a side at which a large map is made smooth
  const SQUARE = 64; // pixels a side below which a picture is shown as squares: enlarged smoothly it is only a blur
  const REPLAY = {done: [900, 450], growing: [320, 160]}; // milliseconds from first to last stage, and between two at most
  const TILE = 96;
  const KEPT = 24; // drawings that a session remembers
  const TOP = 0.99; // share of the places below which colours end where peaks are cut off
  const look = {colours: 'viridis', opacity: 0.75, shared: false, cut: true, clear: true, squares: false};
  const mirrors = new Set();
  const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const keyOf = (drawing) => JSON.stringify([drawing.caption, drawing.seed, drawing.checkpoint]);
  const percent = (share) => (share > 0 && share < 0.01 ? '<1 %' : `${Math.round(100 * share)} %`);
  const number = (value) => (value > 0 && value < 0.0001 ? '<0.0001' : value === 0 ? '0' : value.toPrecision(3));
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.flat().filter((child) => child !== null));
    return node;
  }
  const quiet = (text) => make('small', {}, text);
  const named = (text) => make('bdi', {}, text);

  // ------------------------------------------------------------------------------------------------------ maps

  /** Maps with their values; a byte is 255 times the root of the share of the way from low to high, see payload.py. */
  function unpack(packed) {
    if (!packed) return null;
    const places = packed.width * packed.height, {low, high} = packed;
    const values = Float32Array.from(bytes(packed.data), (bit, at) => {
      const index = Math.floor(at / places);
      return low[index] + (bit / 255) ** 2 * (high[index] - low[index]);
    });
    return {...packed, values, tops: {}};
  }
  const valueAt = (map, index, place) => map.values[index * map.height * map.width + place];

  /** The value that a share TOP of the places stays below, in one map or, without an index, in all of them. */
  function topOf(map, index) {
    const places = map.height * map.width, key = index ?? 'all';
    map.tops[key] ??= (index === undefined ? map.values.slice() : map.values.slice(index * places, (index + 1) * places))
      .sort().at(Math.floor(TOP * (index === undefined ? map.values.length : places)));
    return map.tops[key];
  }

  /** The ends of the colours, of one map or of all of them together; and the highest value, if it is not that end. */
  function endsOf(map, index) {
    const [low, high] = look.shared ? [Math.min(...map.low), Math.max(...map.high)] : [map.low[index], map.high[index]];
    const top = look.cut ? topOf(map, look.shared ? undefined : index) : high;
    return top > low && top < 0.98 * high ? [low, top, high] : [low, high];
  }

  /** How opaque a colour is: what is low stays clear, so that the picture is seen where a word did not go. */
  const cover = (share) => (look.clear ? 20 + 235 * Math.sqrt(share) : 255);

  /** One map as a canvas of colours. Values are made smooth first and coloured then, so that no colour appears that
   * the colour bar does not have. A map that is the same everywhere gets the lowest colour. */
  function coloured(map, index, [low, high], table, side) {
    const {width, height} = map;
    const columns = look.squares ? width : side, rows = look.squares ? height : side;
    const canvas = make('canvas', {width: columns, height: rows});
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(columns, rows);
    const from = index * width * height;
    const extent = high > low ? high - low : Infinity, {values} = map;
    const left = new Int32Array(columns), right = new Int32Array(columns), mix = new Float32Array(columns);
    for (let x = 0; x < columns; x++) {
      const at = clamp(((x + 0.5) * width) / columns - 0.5, 0, width - 1);
      left[x] = Math.floor(at);
      right[x] = Math.min(width - 1, left[x] + 1);
      mix[x] = at - left[x];
    }
    for (let y = 0, out = 0; y < rows; y++) {
      const at = clamp(((y + 0.5) * height) / rows - 0.5, 0, height - 1);
      const up = Math.floor(at), down = Math.min(height - 1, up + 1), share = at - up;
      const above = from + up * width, below = from + down * width;
      for (let x = 0; x < columns; x++, out += 4) {
        const a = values[above + left[x]] * (1 - mix[x]) + values[above + right[x]] * mix[x];
        const b = values[below + left[x]] * (1 - mix[x]) + values[below + right[x]] * mix[x];
        const height = clamp((a * (1 - share) + b * share - low) / extent, 0, 1);
        const colour = 3 * Math.round(255 * height);
        pixels.data[out] = table[colour];
        pixels.data[out + 1] = table[colour + 1];
        pixels.data[out + 2] = table[colour + 2];
        pixels.data[out + 3] = extent === Infinity ? 255 : cover(height);
      }
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  const smoothAt = ({naturalWidth}) => !look.squares && naturalWidth >= SQUARE;

  function lay(context, source, side, alpha, smooth) {
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = 'high';
    context.drawImage(source, 0, 0, side, side);
    context.globalAlpha = 1;
  }

  /** Rows of a <dl>: each score, unless briefly, with its range and what it means. */
  function scoreRows(scores, brief = false) {
    return scores.map((score) => {
      const ends = score.low === null ? `best ${score.high}, no worst` : `${score.low} to ${score.high}`;
      const share = score.low === null ? null : clamp((score.value - score.low) / (score.high - score.low), 0, 1);
      return make('div', {}, make('dt', {}, score.name), make('dd', {}, make('b', {}, score.value.toFixed(2)),
        share === null ? null : make('meter', {min: 0, max: 1, value: share, 'aria-hidden': 'true'}),
        brief ? null : quiet(`${ends}. ${score.meaning}`)));
    });
  }

  // ---------------------------------------------------------------------------------------------------- mirror

  class Mirror {
    constructor(root, {tables = api.tables, send = null, compact = false, typed = null}) {
      this.root = root;
      this.tables = Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, bytes(table)]));
      this.send = send;
      this.compact = compact;
      this.typed = typed; // what stands in the caption's box at this moment, if there is one
      this.drawing = null;
      this.kept = [];
      this.turn = 0;
      this.partners = [];
      this.build();
      mirrors.add(this);
    }

    build() {
      this.words = make('div', {class: 'mv-words', role: 'toolbar', 'aria-label': 'Words of the caption'});
      this.note = make('p', {class: 'mv-note'});
      this.numbers = make('div', {class: 'mv-numbers'});
      this.canvas = make('canvas', {class: 'mv-picture', width: SIDE, height: SIDE});
      this.overlay = make('canvas', {class: 'mv-overlay', width: SIDE, height: SIDE});
      this.cell = make('span', {class: 'mv-cell', hidden: true});
      this.flag = make('span', {class: 'mv-flag'});
      this.frame = make(
        'div',
        {class: 'mv-frame', role: 'application', tabindex: 0, 'aria-label': 'Picture'},
        this.canvas, this.overlay, this.cell, this.flag, make('span', {class: 'mv-empty'}, 'No picture yet'),
      );
      this.say = make('p', {class: 'mv-say', role: 'status'});
      this.strip = make('div', {class: 'mv-strip', role: 'radiogroup', 'aria-label': 'Stage'});
      this.slider = make('input', {type: 'range', min: 0, max: 0, step: 0.02, value: 0, 'aria-label': 'From the first stage to the last'});
      this.stages = make('div', {class: 'mv-stages'}, this.strip, this.slider);
      this.read = make('div', {class: 'mv-read'});
      this.scores = make('dl', {class: 'mv-scores'});
      this.keep = make('div', {class: 'mv-keep'});
      this.sheet = make('div', {class: 'mv-sheet'});
      this.history = make('div', {class: 'mv-history'});
      const middle = make('section', {class: 'mv-middle', 'aria-label': 'The picture'}, this.frame, this.say, this.stages);
      if (this.compact) {
        this.root.classList.add('mv', 'mv-compact');
        this.root.replaceChildren(middle, this.words, this.note);
      } else {
        this.summary = make('summary');
        this.all = make('details', {class: 'mv-all'}, this.summary, this.sheet);
        this.root.classList.add('mv');
        this.root.replaceChildren(
          make('div', {class: 'mv-columns'},
            make('section', {class: 'mv-left', 'aria-label': 'The caption'},
              make('h2', {}, 'You typed'), this.words, this.note, this.numbers),
            middle,
            make('section', {class: 'mv-right', 'aria-label': 'The redescription'},
              make('h2', {}, 'The picture says'), this.read, this.scores)),
          make('div', {class: 'mv-below'}, this.controls(), this.keep), this.all, this.history);
        this.all.addEventListener('toggle', () => this.paintSheet());
      }
      this.listen();
      this.clear();
    }

    controls() {
      const change = () => { for (const mirror of mirrors) mirror.repaint(); };
      const colours = make('select', {onchange: () => { look.colours = colours.value; change(); }},
        Object.keys(this.tables).map((name) => make('option', {value: name}, name)));
      const opacity = make('input', {type: 'range', min: 0, max: 1, step: 0.05, value: look.opacity,
        oninput: () => { look.opacity = Number(opacity.value); change(); }});
      const box = (name, label) => {
        const input = make('input', {type: 'checkbox', checked: look[name], onchange: () => { look[name] = input.checked; change(); }});
        return make('label', {}, input, ` ${label}`);
      };
      return make('div', {class: 'mv-look', role: 'group', 'aria-label': 'How maps are shown'},
        make('label', {}, 'Colours ', colours), make('label', {}, 'Opacity ', opacity),
        box('shared', 'One scale for all words'), box('clear', 'Clear where low'), box('cut', 'Cut off peaks'), box('squares', 'Square pixels'));
    }

    listen() {
      const chip = (event) => event.target.closest?.('[data-target]');
      this.root.addEventListener('pointerover', (event) => {
        if (event.pointerType !== 'touch' && chip(event)) this.point(chip(event).dataset.target);
      });
      this.root.addEventListener('pointerout', (event) => {
        if (chip(event) && !chip(event).contains(event.relatedTarget)) this.point(null);
      });
      this.root.addEventListener('focusin', (event) => { if (chip(event)?.matches(':focus-visible')) this.point(chip(event).dataset.target); });
      this.root.addEventListener('focusout', (event) => { if (chip(event)) this.point(null); });
      this.root.addEventListener('click', (event) => {
        const button = event.target.closest?.('button');
        if (!button || !this.root.contains(button)) return;
        const {target, stage} = button.dataset;
        if (stage !== undefined) this.choose(Number(stage));
        if (target !== undefined) this.pin(target);
      });
      this.root.addEventListener('keydown', (event) => this.walk(event));
      this.slider.addEventListener('input', () => {
        this.stop();
        this.blend = Number(this.slider.value);
        this.stage = Math.round(this.blend);
        this.repaint();
      });
      const place = (event) => {
        const box = this.frame.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      };
      this.frame.addEventListener('pointermove', (event) => {
        if (event.pointerType !== 'touch') this.listenAt(...place(event), false);
      });
      this.frame.addEventListener('pointerleave', () => this.leave());
      this.frame.addEventListener('click', (event) => {
        const again = this.spot?.pinned;
        this.spot = null;
        this.listenAt(...place(event), true);
        if (again && this.spot && again === `${this.spot.row},${this.spot.column}`) this.unpin();
      });
      this.frame.addEventListener('focus', () => {
        if (this.frame.matches(':focus-visible') && !this.spot) this.listenAt(0.5, 0.5, false);
      });
      this.frame.addEventListener('blur', () => this.leave());
    }

    // What is shown

    clear() {
      this.hot = this.pinned = this.spot = null;
      this.stage = this.blend = 0;
      this.root.dataset.state = 'empty';
    }

    /** Shows a drawing once its pictures are there; the latest call wins. */
    async show(drawing, fresh = true) {
      if (!drawing || !drawing.stages?.length || (fresh && this.isLate(drawing))) return;
      const turn = ++this.turn;
      this.coming = drawing; // its pictures may still be on their way when the next one arrives
      const images = drawing.stages.map((stage) => Object.assign(new Image(), {src: stage.image, alt: ''}));
      await Promise.all(images.map((image) => image.decode().catch(() => null)));
      if (turn !== this.turn) return;
      const before = this.drawing;
      const same = before && JSON.stringify(before.words.map((word) => word.text)) === JSON.stringify(drawing.words.map((word) => word.text));
      const growing = before && keyOf(before) === keyOf(drawing);
      this.drawing = drawing;
      this.images = images;
      this.maps = drawing.stages.map((stage) => ({words: unpack(stage.words), sentence: unpack(stage.sentence), masks: stage.masks.map(unpack)}));
      this.readMaps = unpack(drawing.read?.maps ?? null);
      if (!same) this.hot = this.pinned = this.spot = null;
      const last = drawing.stages.length - 1;
      const wanted = this.chosen === undefined ? last : Math.min(this.chosen, last);
      this.slider.max = last;
      this.root.dataset.state = drawing.done ? 'read' : 'sketch';
      this.root.dataset.stages = drawing.stages.length;
      this.buildWords();
      this.buildStages();
      if (!this.compact) {
        this.buildRead();
        this.buildScores();
        this.buildKeep();
        this.remember();
        api.shown = drawing;
        window.dispatchEvent(new CustomEvent('mirrorgan-shown', {detail: drawing}));
      }
      const start = fresh && !this.compact && drawing.done && !growing ? 0 : Math.min(this.blend, wanted);
      this.grow(start, wanted);
    }

    /** True for a sketch of what is already here, or coming, in full, or of something that was typed before it. */
    isLate(drawing) {
      const here = this.coming;
      if (!here?.done || drawing.done) return false;
      if (keyOf(drawing) === keyOf(here)) return true;
      const typed = this.typed?.();
      return here.asked === typed?.caption && String(here.seed) === typed.seed && drawing.asked !== typed.caption;
    }

    /** Lets the picture grow from one stage to another. */
    grow(from, to) {
      this.stop();
      this.stage = to;
      if (calm() || from >= to || document.hidden) {
        this.blend = to;
        this.repaint();
        return;
      }
      const [all, each] = REPLAY[this.drawing.done ? 'done' : 'growing'];
      const began = performance.now(), length = Math.min(each, all / (this.drawing.sizes.length - 1)) * (to - from);
      this.root.dataset.growing = '';
      const step = (now) => {
        const share = clamp((now - began) / length, 0, 1);
        this.blend = from + (to - from) * share;
        this.repaint();
        this.frameRequest = share < 1 ? requestAnimationFrame(step) : this.stop();
      };
      this.blend = from;
      this.repaint();
      this.frameRequest = requestAnimationFrame(step);
    }

    stop() {
      if (this.frameRequest) cancelAnimationFrame(this.frameRequest);
      delete this.root.dataset.growing;
      this.frameRequest = null;
      return null;
    }

    /** Shows a stage; whoever leads takes the mirrors that are pointed at together along. */
    choose(stage, leads = true) {
      this.stop();
      this.chosen = stage === this.drawing.sizes.length - 1 ? undefined : stage;
      this.stage = this.blend = stage;
      this.repaint();
      if (leads) for (const partner of this.partners) if (partner.drawing) partner.choose(partner.stageLike(this), false);
    }

    /** The stage whose size is nearest to that of the stage that another mirror shows; its last one for a last one. */
    stageLike({stage, drawing: {sizes}}) {
      const own = this.drawing.stages.map(({size}) => size);
      if (stage === sizes.length - 1) return own.length - 1;
      const apart = own.map((size) => Math.abs(Math.log2(size / sizes[stage])));
      return apart.indexOf(Math.min(...apart));
    }

    // Words

    buildWords() {
      const {words, stages} = this.drawing;
      const heard = this.maps.some((maps) => maps.words);
      const whole = this.maps.some((maps) => maps.sentence);
      const masks = this.maps.at(-1).masks;
      const buttons = words.map((word, at) => {
        const label = word.place === null ? `${word.text}, not used` : word.text;
        return make('button', {type: 'button', class: word.place === null ? 'mv-word mv-unknown' : 'mv-word', 'data-target': `word ${at}`,
          'aria-pressed': 'false', 'aria-label': label}, word.place === null ? make('s', {}, named(word.text)) : named(word.text),
          make('span', {class: 'mv-heard', 'aria-hidden': 'true'}));
      });
      if (whole) buttons.push(make('button', {type: 'button', class: 'mv-word mv-whole', 'data-target': 'sentence', 'aria-pressed': 'false'}, 'the whole sentence'));
      const blocks = masks.map((mask, at) => make('button', {type: 'button', class: 'mv-word mv-mask', 'data-target': `mask ${at}`,
        'aria-pressed': 'false', 'aria-label': `Mask of block ${at + 1} of ${masks.length}, ${mask.columns} by ${mask.rows}`}, `${at + 1}`));
      [...buttons, ...blocks].forEach((button, at) => button.setAttribute('tabindex', at ? -1 : 0));
      const at = [...this.words.querySelectorAll('button')].indexOf(document.activeElement);
      this.words.replaceChildren(...buttons, ...(blocks.length ? [make('span', {class: 'mv-row'}, 'Masks, block by block'), ...blocks] : []));
      buttons.push(...blocks);
      if (at >= 0 && buttons[at]) buttons[at].focus();
      if (!this.compact) {
        this.summary.textContent = heard || !masks.length ? 'All words at all stages' : 'All masks';
        this.all.hidden = !heard && !whole && !masks.length;
      }
      const lines = [], remarks = [];
      for (const word of words) {
        if (word.place !== null) continue;
        if (!word.cut) lines.push(`“${word.text}” is not in the vocabulary and was ignored.` + (word.near ? ` Nearest known word: “${word.near}”.` : ''));
      }
      const cut = words.filter((word) => word.cut).map((word) => `“${word.text}”`);
      if (cut.length) lines.push(`Only the first ${this.drawing.max_words} known words were drawn. Left out: ${cut.join(', ')}.`);
      if (!heard && stages.length >= this.drawing.sizes.length) {
        remarks.push(masks.length ? 'This model does not listen to single words. Each of its blocks draws a mask of where the sentence may change the picture: bright is where it may.'
          : whole ? 'This model does not listen to single words: it has no word maps.' : 'This model listens to the sentence only as a whole, before it draws: it has no maps.');
      }
      this.note.replaceChildren(...[...new Set(lines)].map((line) => make('span', {}, line)), ...remarks.map((line) => make('span', {class: 'mv-remark'}, line)));
    }

    buildStages() {
      const {stages, sizes} = this.drawing;
      this.stages.hidden = sizes.length < 2;
      this.strip.replaceChildren(...sizes.map((size, at) => {
        const there = at < stages.length;
        const deaf = there && !this.maps[at].words;
        return make('button', {type: 'button', role: 'radio', 'data-stage': at, disabled: !there, 'aria-checked': 'false',
          'aria-label': `Stage ${at + 1}, ${size} pixels${deaf ? ', no word attention' : ''}`},
          there ? make('img', {src: stages[at].image, alt: ''}) : make('span', {class: 'mv-coming'}), `${size} px`);
      }));
    }

    // The redescription

    buildRead() {
      const {read, words} = this.drawing;
      if (!read) {
        this.read.replaceChildren(make('p', {class: 'mv-wait'}, this.drawing.done ? 'Nothing: this model has no reader (STREAM), so its pictures are not read back.'
          : 'Press Enter, and the picture is read back.'));
        return;
      }
      const typed = (places) => places.map((place) => words[place].text).join(' ');
      const items = [];
      for (const {kind, typed: from, read: to} of read.matches) {
        const place = (content, target, label) => items.push(make('button', {type: 'button', class: `mv-said mv-${kind}`, 'data-target': target,
          'aria-pressed': 'false', 'aria-label': label}, make('b', {'aria-hidden': 'true'}, SIGNS[kind]), ...content));
        for (const at of to) {
          const instead = kind === 'replaced' ? `, for ${typed(from)}` : '';
          place([named(read.words[at]), quiet(percent(read.chances[at]))], `read ${at}`,
            `${read.words[at]}, ${MEANINGS[kind]}${instead}, ${percent(read.chances[at])} sure`);
        }
        if (kind === 'dropped') {
          for (const at of from) place([make('s', {}, named(words[at].text))], `word ${at}`, `${words[at].text}, ${MEANINGS.dropped}`);
        }
      }
      const kinds = new Set(read.matches.map((match) => match.kind));
      items.forEach((item, at) => item.setAttribute('tabindex', at ? -1 : 0));
      this.read.replaceChildren(
        make('p', {class: 'mv-text'}, read.words.join(' ') + (read.complete ? '' : ' …')),
        make('div', {class: 'mv-sentence', role: 'toolbar', 'aria-label': 'Words of the redescription'}, items),
        make('p', {class: 'mv-legend'}, Object.keys(SIGNS).filter((kind) => kinds.has(kind)).map((kind) =>
          make('span', {class: `mv-${kind}`}, make('b', {}, SIGNS[kind]), ` ${MEANINGS[kind]}`)), make('span', {}, '% how sure the reader was')));
    }

    buildScores() {
      const {scores, timings} = this.drawing;
      const rows = scoreRows(scores);
      if (timings.length) {
        const all = timings.reduce((sum, [, time]) => sum + time, 0);
        rows.push(make('div', {}, make('dt', {}, 'time'), make('dd', {}, make('b', {}, `${Math.round(all)} ms`),
          quiet(timings.map(([part, time]) => `${part} ${Math.round(time)}`).join(' · ')))));
      }
      this.scores.replaceChildren(...rows);
    }

    // Keeping

    buildKeep() {
      const {caption, seed, model, sizes} = this.drawing;
      const query = new URLSearchParams({caption, seed, model});
      const here = location.origin === 'null' || !this.send ? null : `${location.origin}${location.pathname}?${query}`;
      const ask = ([kind, name, title]) => make('button', {type: 'button', title, onclick: () => this.send('keep', {kind, caption, seed, model})}, name);
      this.keep.replaceChildren(make('span', {class: 'mv-seed'}, `seed ${seed} · ${this.drawing.checkpoint} · ${sizes.at(-1)} px`));
      const view = make('button', {type: 'button', title: 'What is seen here, as a PNG', onclick: () => this.saveView()}, 'This view');
      if (here) {
        const copy = make('a', {href: here, title: 'Opens this page with this caption, seed and model', onclick: (event) => {
          if (!navigator.clipboard) return;
          event.preventDefault();
          navigator.clipboard.writeText(here).then(() => this.tell('The link is copied.'), () => { location.href = here; });
        }}, 'Link');
        const files = make('details', {class: 'mv-files'}, make('summary', {}, 'Save'), make('div', {}, view, FILES.map(ask)));
        this.keep.append(copy, files);
      } else this.keep.append(view);
    }

    saveView() {
      const canvas = make('canvas', {width: SIDE, height: SIDE});
      canvas.getContext('2d').drawImage(this.canvas, 0, 0);
      canvas.getContext('2d').drawImage(this.overlay, 0, 0);
      download(canvas.toDataURL('image/png'), `mirrorgan-seed-${this.drawing.seed}-view.png`);
    }

    remember() {
      if (!this.send || !this.drawing.done) return;
      const key = keyOf(this.drawing);
      this.kept = [this.drawing, ...this.kept.filter((drawing) => keyOf(drawing) !== key)].slice(0, KEPT);
      if (this.kept.length < 2) return;
      this.history.replaceChildren(make('h3', {}, 'Earlier in this session'), make('div', {class: 'mv-shelf'}, this.kept.map((drawing) =>
        make('button', {type: 'button', 'aria-current': keyOf(drawing) === key ? 'true' : null, title: `${drawing.caption} · seed ${drawing.seed}`,
          'aria-label': `${drawing.caption}, seed ${drawing.seed}`, onclick: () => {
            this.send('recall', {caption: drawing.caption, seed: drawing.seed, model: drawing.model});
            this.show(drawing, false);
          }}, make('img', {src: drawing.stages.at(-1).image, alt: ''})))));
    }

    // Pointing, pinning, walking

    point(target) {
      this.hot = target;
      this.repaint();
      for (const partner of this.partners) { partner.hot = target && partner.has(target) ? target : null; partner.repaint(); }
    }

    pin(target) {
      this.pinned = this.pinned === target ? null : target;
      this.repaint();
      for (const partner of this.partners) { partner.pinned = this.pinned && partner.has(this.pinned) ? this.pinned : null; partner.repaint(); }
    }

    unpin() {
      this.pinned = this.spot = null;
      this.repaint();
    }

    has(target) {
      const [kind, at] = target.split(' ');
      if (kind === 'mask') return Number(at) < (this.maps?.at(-1).masks.length ?? 0);
      return kind !== 'word' || Number(at) < (this.drawing?.words.length ?? 0);
    }

    walk(event) {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      if (event.key === 'Escape') {
        this.hot = null;
        this.unpin();
        return;
      }
      if (event.target === this.frame) {
        if (step && this.drawing) {
          event.preventDefault();
          const {height = 8, width = 8} = this.maps[this.stage]?.words ?? {};
          const {row = height >> 1, column = width >> 1} = this.spot ?? {};
          const jump = Math.max(1, width >> 4) * step;
          const across = event.key === 'ArrowLeft' || event.key === 'ArrowRight';
          this.spot = null;
          this.listenAt((column + (across ? jump : 0) + 0.5) / width, (row + (across ? 0 : jump) + 0.5) / height, true);
        }
        return;
      }
      const group = event.target.closest?.('[role=toolbar], [role=radiogroup]');
      if (!group || (!step && event.key !== 'Home' && event.key !== 'End')) return;
      const buttons = [...group.querySelectorAll('button:not(:disabled)')];
      const here = buttons.indexOf(event.target);
      if (here < 0) return;
      event.preventDefault();
      const next = event.key === 'Home' ? 0 : event.key === 'End' ? buttons.length - 1 : (here + step + buttons.length) % buttons.length;
      buttons.forEach((button, at) => button.setAttribute('tabindex', at === next ? 0 : -1));
      buttons[next].focus();
      if (buttons[next].dataset.target) this.point(buttons[next].dataset.target);
      if (buttons[next].dataset.stage) this.choose(Number(buttons[next].dataset.stage));
    }

    listenAt(x, y, pinned) {
      const map = this.maps?.[this.stage]?.words;
      if (!this.drawing || (this.spot?.pinned && !pinned)) return;
      if (!map) {
        this.spot = null;
        this.repaint();
        if (pinned) this.tell(this.deaf());
        return;
      }
      const row = clamp(Math.floor(y * map.height), 0, map.height - 1), column = clamp(Math.floor(x * map.width), 0, map.width - 1);
      this.spot = {row, column, height: map.height, width: map.width, pinned: pinned ? `${row},${column}` : null};
      this.repaint();
    }

    leave() {
      if (this.spot && !this.spot.pinned) {
        this.spot = null;
        this.repaint();
      }
    }

    tell(text) {
      if (this.say.textContent !== text) this.say.textContent = text;
    }

    deaf() {
      const last = this.drawing.stages.length >= this.drawing.sizes.length;
      if (last && this.maps.at(-1).masks.length) return 'This model has no word attention; its masks are for the whole sentence.';
      if (last && !this.maps.some((maps) => maps.words)) return 'This model has no word attention.';
      return this.stage === 0 ? 'The first stage has no word attention: it knows the sentence only as a whole.' : 'This stage has no word attention.';
    }

    // Painting

    /** The map of a target at the stage that is shown: {map, index, name}, or {why}. */
    mapOf(target) {
      const [kind, position] = target.split(' ');
      const at = Number(position);
      const {words, read} = this.drawing;
      const maps = this.maps[this.stage];
      if (kind === 'sentence') return maps.sentence ? {map: maps.sentence, index: 0, name: 'the whole sentence'} : {why: 'The first stage has no map of the sentence.'};
      if (kind === 'mask') {
        const map = this.maps.at(-1).masks[at], all = this.maps.at(-1).masks.length;
        return map ? {map, index: 0, name: `mask ${at + 1}`, note: `Block ${at + 1} of ${all}: bright is where it let the sentence change the picture, dark where it did not.`} : {why: ''};
      }
      if (kind === 'word') {
        const word = words[at];
        if (!word) return {why: ''};
        if (word.place === null) return {why: `“${word.text}” was not used.`};
        return maps.words ? {map: maps.words, index: word.place, name: `“${word.text}”`} : {why: this.deaf()};
      }
      const match = read.matches.find((one) => one.read.includes(at));
      const said = `“${read.words[at]}”`;
      const stands = match.typed.map((place) => `“${words[place].text}”`).join(' ');
      const sense = {equal: 'is in the caption too', moved: 'is in the caption too, at another place', replaced: `stands where the caption has ${stands}`, added: 'has nothing in the caption that it matches'}[match.kind];
      if (this.readMaps) return {map: this.readMaps, index: at, name: said, note: `${said} ${sense}. The map is where the reader looked for it.`};
      const partner = match.typed[Math.min(match.typed.length - 1, match.read.indexOf(at))];
      if (partner === undefined) return {why: `${said} ${sense}.`};
      const own = this.mapOf(`word ${partner}`);
      return own.map ? {...own, note: `${said} ${sense}. The map is that of ${own.name}.`} : {why: `${said} ${sense}.`};
    }

    /** Targets that belong together: a word of one sentence and what stands for it in the other. */
    mates(target) {
      const [kind, position] = target.split(' ');
      const own = kind === 'read' ? 'read' : 'typed', other = kind === 'read' ? 'typed' : 'read';
      const match = kind === 'sentence' || kind === 'mask' ? null : this.drawing.read?.matches.find((one) => one[own].includes(Number(position)));
      if (!match) return [];
      return match[other].map((at) => `${other === 'read' ? 'read' : 'word'} ${at}`);
    }

    /** Keeps the place that is pointed at where it is when the map of another stage has more or fewer places. */
    moveSpot() {
      const map = this.maps[this.stage].words, spot = this.spot;
      if (!map || !spot || (spot.height === map.height && spot.width === map.width)) return;
      const row = Math.floor(((spot.row + 0.5) / spot.height) * map.height), column = Math.floor(((spot.column + 0.5) / spot.width) * map.width);
      this.spot = {row, column, height: map.height, width: map.width, pinned: spot.pinned ? `${row},${column}` : null};
    }

    repaint() {
      if (!this.drawing) return;
      this.moveSpot();
      const target = this.hot ?? this.pinned;
      const found = target ? this.mapOf(target) : null;
      this.paintPicture();
      this.paintOverlay(found);
      this.paintWords(target);
      this.paintStages();
      this.paintNumbers(found);
      this.paintSpeech(target, found);
      this.paintSheet();
    }

    paintPicture() {
      const context = this.canvas.getContext('2d');
      const low = Math.floor(this.blend), high = Math.min(low + 1, this.images.length - 1);
      context.clearRect(0, 0, SIDE, SIDE);
      lay(context, this.images[low], SIDE, 1, smoothAt(this.images[low]));
      if (this.blend > low) lay(context, this.images[high], SIDE, this.blend - low, smoothAt(this.images[high]));
    }

    paintOverlay(found) {
      const context = this.overlay.getContext('2d');
      context.clearRect(0, 0, SIDE, SIDE);
      if (!found?.map) return;
      const {map, index} = found;
      lay(context, coloured(map, index, endsOf(map, index), this.tables[look.colours], FINE), SIDE, look.opacity, !look.squares);
    }

    paintWords(target) {
      const mates = target ? this.mates(target) : [];
      const map = this.maps[this.stage].words;
      for (const button of this.root.querySelectorAll('.mv-word, .mv-said')) {
        const own = button.dataset.target;
        button.classList.toggle('mv-on', own === target);
        button.classList.toggle('mv-mate', mates.includes(own));
        button.setAttribute('aria-pressed', String(own === this.pinned));
        if (!own.startsWith('word ') || !button.matches('.mv-word')) continue;
        const word = this.drawing.words[Number(own.split(' ')[1])];
        const share = this.spot && map && word.place !== null ? valueAt(map, word.place, this.spot.row * map.width + this.spot.column) : null;
        button.style.setProperty('--heard', share === null ? 0 : share.toFixed(3));
      }
    }

    paintStages() {
      for (const button of this.strip.children) {
        const own = Number(button.dataset.stage) === this.stage;
        button.setAttribute('aria-checked', String(own));
        button.setAttribute('tabindex', own ? 0 : -1);
      }
      this.slider.value = this.blend;
      const size = this.drawing.stages[this.stage].size;
      this.slider.setAttribute('aria-valuetext', `${size} pixels`);
      this.frame.setAttribute('aria-label', `Drawing of: ${this.drawing.caption}. ${size} pixels. Arrow keys ask which words a place heard.`);
      const map = this.maps[this.stage].words;
      const spot = map ? this.spot : null;
      this.cell.hidden = !spot;
      if (spot) {
        this.cell.style.cssText = `left:${(100 * spot.column) / map.width}%;top:${(100 * spot.row) / map.height}%;width:${100 / map.width}%;height:${100 / map.height}%`;
        this.cell.classList.toggle('mv-fixed', Boolean(spot.pinned));
      }
    }

    paintNumbers(found) {
      if (this.compact) return;
      if (!found?.map) {
        this.numbers.replaceChildren(make('p', {}, this.maps.at(-1).masks.length ? 'Point at the number of a mask to see it on the picture; click to keep it.' : this.maps.some((maps) => maps.words)
          ? (matchMedia('(pointer: coarse)').matches ? 'Tap a word to see where it went. Tap the picture to see which words it heard there.'
            : 'Point at a word to see where it went; click to keep it. Point at the picture to see which words it heard there.') : ''));
        return;
      }
      const {map, index, name} = found;
      const [low, high, peak] = endsOf(map, index);
      const bar = make('canvas', {width: 256, height: 1, role: 'img', 'aria-label': `Colours from low to high, ${look.colours}`});
      const context = bar.getContext('2d'), pixels = context.createImageData(256, 1), table = this.tables[look.colours];
      for (let at = 0; at < 256; at++) pixels.data.set([table[3 * at], table[3 * at + 1], table[3 * at + 2], cover(at / 255)], 4 * at);
      context.putImageData(pixels, 0, 0);
      const heard = this.maps[this.stage].words;
      const word = this.drawing.words.find((one) => one.place === index);
      const rows = [
        ['peak', number(map.high[index])],
        ['where', `row ${map.row[index] + 1}, column ${map.column[index] + 1} of ${map.rows} × ${map.columns}`],
        ['mean', number(map.mean[index])],
        ['entropy', `${map.entropy[index].toFixed(1)} of ${Math.log2(map.rows * map.columns).toFixed(0)} bits`],
      ];
      if (map === heard && word?.chance != null) rows.push(['expected by the reader', percent(word.chance)]);
      const scope = map === heard && look.shared ? 'all words of this stage' : 'this map';
      this.numbers.replaceChildren(
        make('p', {class: 'mv-name'}, make('b', {}, named(name)), ` at ${this.drawing.stages[this.stage].size} px`),
        make('div', {class: 'mv-bar'}, make('span', {}, number(low)), bar, make('span', {}, `${peak === undefined ? '' : '≥ '}${number(high)}`)),
        make('p', {class: 'mv-ends'}, high > low ? `ends of the scale: ${scope}${peak === undefined ? '' : `, without the highest ${Math.round(100 * (1 - TOP))} % of places`}` : 'the same everywhere'),
        make('dl', {}, rows.map(([term, value]) => make('div', {}, make('dt', {}, term), make('dd', {}, value)))));
    }

    paintSpeech(target, found) {
      this.flag.textContent = found?.map ? found.name : '';
      const map = this.maps[this.stage].words;
      if (found?.why) this.tell(found.why);
      else if (found?.note) this.tell(found.note);
      else if (this.spot && map && !this.hot) {
        const place = this.spot.row * map.width + this.spot.column;
        const heard = this.drawing.words.filter((word) => word.place !== null).map((word) => [valueAt(map, word.place, place), word.text]);
        heard.sort((a, b) => b[0] - a[0]);
        this.tell('This place heard ' + heard.slice(0, 3).map(([share, text]) => `“${text}” ${percent(share)}`).join(', ') + '.');
      } else if (found?.map) {
        this.tell(`${found.name}: peak ${number(found.map.high[found.index])} at row ${found.map.row[found.index] + 1}, column ${found.map.column[found.index] + 1}.`);
      } else this.tell(this.stage === 0 && this.drawing.stages.length > 1 && !this.maps[0].words ? this.deaf() : '');
    }

    paintSheet() {
      if (this.compact || !this.all?.open || !this.drawing || this.root.dataset.growing !== undefined) return;
      const key = JSON.stringify([keyOf(this.drawing), this.drawing.stages.length, look]);
      if (this.sheet.dataset.key !== key) {
        this.sheet.dataset.key = key;
        this.buildSheet();
      }
      for (const tile of this.sheet.querySelectorAll('button')) {
        tile.setAttribute('aria-pressed', String(tile.dataset.target === this.pinned && Number(tile.dataset.stage) === this.stage));
      }
    }

    buildSheet() {
      const tile = (name, target, map, index, stage) => {
        const canvas = make('canvas', {width: TILE, height: TILE});
        const context = canvas.getContext('2d');
        lay(context, this.images[stage], TILE, 1, smoothAt(this.images[stage]));
        lay(context, coloured(map, index, endsOf(map, index), this.tables[look.colours], TILE), TILE, look.opacity, !look.squares);
        const peak = number(map.high[index]), size = map.columns === map.rows && target.startsWith('mask') ? map.rows : this.drawing.stages[stage].size;
        return make('button', {type: 'button', 'data-target': target, 'data-stage': stage, 'aria-pressed': 'false',
          'aria-label': `${name}, ${size} pixels, peak ${peak}`}, canvas, `${size} px · ${peak}`);
      };
      const row = (name, tiles) => (tiles.length ? make('div', {class: 'mv-tile'}, make('b', {}, named(name)), make('div', {}, tiles)) : null);
      const stages = (name, target, kind, index) => row(name, this.maps.flatMap((maps, stage) => (maps[kind] ? [tile(name, target, maps[kind], index, stage)] : [])));
      const rows = this.drawing.words.map((word, at) => (word.place === null ? null : stages(word.text, `word ${at}`, 'words', word.place)));
      rows.push(stages('the whole sentence', 'sentence', 'sentence', 0));
      const last = this.maps.length - 1;
      rows.push(...this.maps[last].masks.map((mask, at) => row(`mask ${at + 1}`, [tile(`mask ${at + 1}`, `mask ${at}`, mask, 0, last)])));
      this.sheet.replaceChildren(...rows.filter(Boolean));
      if (!this.sheet.children.length) this.sheet.append(make('p', {}, 'This model has no maps.'));
    }
  }

  function download(href, name) {
    const link = make('a', {href, download: name});
    document.body.append(link);
    link.click();
    link.remove();
  }

  /** Mirrors that are pointed at together. */
  function link(...group) {
    for (const mirror of group) mirror.partners = group.filter((other) => other !== mirror);
  }

  const api = {mount: (root, options) => new Mirror(root, options), link, download, make, percent, scoreRows,
    signs: SIGNS, meanings: MEANINGS, tables: {}, shown: null};
  return api;
})();
