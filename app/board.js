// What the tabs beside the mirror show: pairs, cards, strips, readings, and the inside of the model.
//
// MirrorGAN.board(root, {send}).show(value): the value's `kind` says which, see app/tools_tab.py.
// MirrorGAN.inside(root).show(value): see app/inside.py.
// Text enters the page through textContent only.
(() => {
  'use strict';
  const {make, mount, link, download, signs, meanings, percent, scoreRows} = MirrorGAN;
  const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
  const loaded = (address) => Object.assign(new Image(), {src: address, alt: ''});

  class Board {
    constructor(root, options) {
      this.root = root;
      this.options = options;
      this.root.classList.add('mv', 'mb');
      this.draws = {pair: this.pair, models: this.models, cards: this.cards, strip: this.strip, reading: this.reading};
    }

    show(value) {
      const draw = value && this.draws[value.kind];
      if (draw) draw.call(this, value);
    }

    /** Keeps what is there when the kind stays, so that a growing result does not flicker. */
    parts(kind, build) {
      if (this.kind !== kind) {
        this.kind = kind;
        this.stopPlaying();
        this.made = build();
      }
      return this.made;
    }

    pair({left, right, difference, facts, moved}) {
      const made = this.parts('pair', () => {
        const sides = [make('div'), make('div')];
        const titles = [make('h3'), make('h3')];
        const mirrors = sides.map((side) => mount(side, {compact: true}));
        link(...mirrors);
        const apart = make('div', {class: 'mb-apart'});
        this.root.replaceChildren(make('div', {class: 'mb-pair'},
          make('section', {}, titles[0], sides[0]), make('section', {}, titles[1], sides[1]), apart));
        return {sides, titles, mirrors, apart};
      });
      [left, right].forEach((drawing, at) => {
        made.titles[at].replaceChildren(make('b', {}, ['Before', 'After'][at]), drawing ? ` ${drawing.caption}` : ' …');
        if (drawing) made.mirrors[at].show(drawing);
      });
      made.apart.replaceChildren();
      if (!difference) return;
      made.apart.append(make('h3', {}, difference.title), make('img', {class: 'mb-large', src: difference.image, alt: 'Map of how much each place changed, dark to light'}),
        ...facts.map((fact) => make('p', {}, fact)));
      if (moved.length) {
        made.apart.append(make('p', {}, 'Attention that went elsewhere:'), make('ul', {}, moved.map(({word, share}) =>
          make('li', {}, make('bdi', {}, word), ' ', make('b', {}, percent(share))))));
      }
    }

    models({sides, judge}) {
      const made = this.parts(JSON.stringify(['models', sides.map((side) => side.model)]), () => {
        const built = sides.map(() => ({title: make('h3'), side: make('div'), below: make('div', {class: 'mb-judged'})}));
        const mirrors = built.map(({side}) => mount(side, {compact: true}));
        link(...mirrors);
        this.root.replaceChildren(make('div', {class: 'mb-pair mb-models'}, built.map(({title, side, below}) => make('section', {}, title, side, below))));
        return {built, mirrors};
      });
      sides.forEach(({model, drawing, trouble, read, scores}, at) => {
        const {title, side, below} = made.built[at];
        title.replaceChildren(make('b', {}, make('bdi', {}, model)), drawing ? ` ${drawing.checkpoint.replace(`${model} `, '')} · seed ${drawing.seed} · ${drawing.sizes.at(-1)} px` : trouble ? '' : ' …');
        side.hidden = !drawing;
        if (drawing) made.mirrors[at].show(drawing);
        below.replaceChildren();
        if (trouble) below.append(make('p', {class: 'mv-note', role: 'alert'}, trouble));
        if (read !== null) below.append(make('h4', {}, 'Read by ', make('bdi', {}, judge)), make('p', {class: 'mv-text'}, read), make('dl', {class: 'mv-scores'}, scoreRows(scores, at > 0)));
        else if (drawing && judge === null && sides.every((one) => one.drawing || one.trouble)) below.append(make('p', {class: 'mv-wait'}, 'None of these models has a reader.'));
      });
    }

    cards({cards, of, best = false}) {
      const made = this.parts('cards', () => {
        const grid = make('div', {class: of > 6 ? 'mb-cards mb-fours' : 'mb-cards'}), count = make('p', {class: 'mb-count', role: 'status'});
        this.root.replaceChildren(count, grid);
        return {grid, count};
      });
      made.count.textContent = cards.length < of ? `${cards.length} of ${of}` : '';
      made.grid.replaceChildren(...cards.map((card, at) => make('button', {type: 'button', class: best && at === 0 ? 'mb-best' : null,
        title: 'Open in Draw', 'aria-label': `Open in Draw: ${card.title} ${card.note}`,
        onclick: () => this.options.send?.('open', {caption: card.caption, seed: card.seed, model: card.model})},
        make('img', {src: card.image, alt: ''}), make('b', {}, best && at === 0 ? `best: ${card.title}` : card.title),
        card.note ? make('small', {}, card.note) : null)));
    }

    strip({frames, of, files = [], curve = null, best = null, there_and_back: back}) {
      const made = this.parts('strip', () => {
        const picture = make('canvas', {class: 'mb-large', width: 512, height: 512, role: 'img', 'aria-label': 'Animation'});
        const slider = make('input', {type: 'range', min: 0, max: 0, step: 0.05, value: 0, 'aria-label': 'Place on the way'});
        const play = make('button', {type: 'button', class: 'mb-button'}, 'Play');
        const title = make('p', {role: 'status'}), row = make('div', {class: 'mb-frames'});
        const save = make('p', {class: 'mb-save'}), graph = make('div', {class: 'mb-graph'});
        slider.addEventListener('input', () => { this.stopPlaying(); this.place(Number(slider.value)); });
        play.addEventListener('click', () => (this.timer ? this.stopPlaying() : this.play()));
        row.addEventListener('click', (event) => {
          const button = event.target.closest('button');
          if (button) { this.stopPlaying(); this.place([...row.children].indexOf(button)); }
        });
        this.root.replaceChildren(make('div', {class: 'mb-strip'},
          make('div', {}, picture, make('div', {class: 'mb-player'}, play, slider), title), make('div', {}, row, graph, save)));
        return {picture, slider, play, title, row, save, graph};
      });
      this.frames = frames.map((frame, at) => ({...frame, picture: made.row.children[at]?.dataset.title === frame.title ? this.frames[at].picture : loaded(frame.image)}));
      this.back = back;
      made.row.replaceChildren(...frames.map((frame, at) => make('button', {type: 'button', 'data-title': frame.title,
        class: at === best ? 'mb-best' : null, 'aria-label': frame.title}, make('img', {src: frame.image, alt: ''}))));
      made.slider.max = frames.length - 1;
      made.save.replaceChildren(...files.map((file) => make('a', {href: file.href, download: file.name}, file.label)));
      made.graph.replaceChildren(...(curve ? [graph(curve.title, [{name: '', points: curve.values.map((value, at) => [at, value])}])] : []));
      const done = frames.length === of;
      made.play.disabled = frames.length < 2;
      const last = this.frames.at(-1).picture;
      last.decode().catch(() => null).then(() => {
        if (!done) this.place(frames.length - 1);
        else if (best !== null) this.place(best);
        else if (!calm() && !this.timer) this.play();
        else this.place(frames.length - 1);
      });
    }

    /** Shows the place between two frames. */
    place(at) {
      const {picture, slider, title} = this.made;
      const low = Math.floor(at), high = Math.min(low + 1, this.frames.length - 1), share = at - low;
      const context = picture.getContext('2d');
      context.imageSmoothingQuality = 'high';
      context.globalAlpha = 1;
      context.drawImage(this.frames[low].picture, 0, 0, 512, 512);
      if (share > 0) {
        context.globalAlpha = share;
        context.drawImage(this.frames[high].picture, 0, 0, 512, 512);
      }
      slider.value = at;
      title.textContent = this.frames[Math.round(at)].title;
    }

    play() {
      const began = performance.now(), last = this.frames.length - 1;
      this.made.play.textContent = 'Pause';
      const step = (now) => {
        if (!this.root.isConnected) return this.stopPlaying();
        const way = (now - began) / 420;
        const round = this.back ? 2 * last : last + 2;
        const at = way % round;
        this.place(this.back ? (at <= last ? at : round - at) : Math.min(at, last));
        this.timer = requestAnimationFrame(step);
      };
      this.timer = requestAnimationFrame(step);
    }

    stopPlaying() {
      cancelAnimationFrame(this.timer ?? 0);
      this.timer = null;
      if (this.made?.play) this.made.play.textContent = 'Play';
    }

    reading(value) {
      const {grid} = this.parts('reading', () => {
        const grid = make('div', {class: 'mb-reading'});
        this.root.replaceChildren(grid);
        return {grid};
      });
      const word = (text, kind, note) => make('span', {class: `mv-said mv-${kind}`}, kind === 'plain' ? null : make('b', {role: 'img', 'aria-label': meanings[kind]}, signs[kind]),
        kind === 'dropped' ? make('s', {}, make('bdi', {}, text)) : make('bdi', {}, text), note ? make('small', {}, note) : null);
      const {typed, read, chances, matches, scores, unused, cut} = value;
      const words = matches.length
        ? matches.flatMap(({kind, typed: from, read: to}) => kind === 'dropped' ? from.map((at) => word(typed[at], kind))
          : to.map((at) => word(read[at], kind, percent(chances[at]))))
        : read.map((text, at) => word(text, 'plain', percent(chances[at])));
      grid.replaceChildren(
        make('figure', {}, make('img', {class: 'mb-large', src: value.image, alt: 'The middle of your picture'})),
        make('div', {}, make('h2', {}, 'The picture says'), make('div', {class: 'mv-sentence', 'aria-label': `Read: ${read.join(' ')}`, role: 'group'}, words, value.complete ? null : '…'),
          matches.length ? make('p', {class: 'mv-legend'}, Object.keys(signs).map((kind) => make('span', {class: `mv-${kind}`}, make('b', {}, signs[kind]), ` ${meanings[kind]}`))) : null,
          unused.length ? make('p', {class: 'mv-note'}, `Not in the vocabulary and ignored: ${unused.join(', ')}.`) : null,
          cut.length ? make('p', {class: 'mv-note'}, `Only the first ${value.max_words} known words count. Left out: ${cut.join(', ')}.`) : null,
          scores.length ? make('dl', {class: 'mv-scores'}, scoreRows(scores)) : null));
    }
  }

  /** The row of examples: a click draws one. */
  class Examples {
    constructor(root, {send}) {
      this.root = root;
      this.send = send;
      root.classList.add('mv');
    }

    show(value) {
      this.root.replaceChildren(...(value?.cards?.length ? [make('div', {class: 'mb-examples', role: 'group', 'aria-label': 'Examples'}, value.cards.map((card, place) =>
        make('button', {type: 'button', onclick: () => this.send('open', {place})}, make('img', {src: card.image, alt: ''}), make('span', {}, card.caption))))] : []));
    }
  }

  // ---------------------------------------------------------------------------------------------------- graphs

  const SVG = 'http://www.w3.org/2000/svg';
  function shape(tag, attributes, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  const tick = (value) => String(Number(value.toPrecision(3)));

  /** Lines over a common axis; each named at its end. */
  function graph(title, lines, wide = 420, high = 170) {
    const points = lines.flatMap((line) => line.points);
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const [left, right, low, high_] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const at = ([x, y]) => `${(46 + ((wide - 58) * (x - left)) / (right - left || 1)).toFixed(1)},${(high - 22 - ((high - 34) * (y - low)) / (high_ - low || 1)).toFixed(1)}`;
    const dashes = ['', '7 3', '2 3', '9 3 2 3'];
    const drawing = shape('svg', {viewBox: `0 0 ${wide} ${high}`, role: 'img', 'aria-label': `${title}: from ${tick(ys[0])} to ${tick(ys.at(-1))}`},
      shape('path', {d: `M46 8V${high - 22}H${wide - 12}`, class: 'mb-axis'}),
      ...[[low, high - 22], [high_, 14]].map(([value, y]) => shape('text', {x: 42, y, 'text-anchor': 'end'}, tick(value))),
      ...[[left, 46, 'start'], [right, wide - 12, 'end']].map(([value, x, anchor]) => shape('text', {x, y: high - 7, 'text-anchor': anchor}, tick(value))),
      ...lines.map((line, number) => shape('polyline', {points: line.points.map(at).join(' '), class: `mb-line mb-line-${number % 4}`, 'stroke-dasharray': dashes[number % 4]})));
    const legend = lines.length > 1 ? make('p', {class: 'mb-legend'}, lines.map((line, number) => make('span', {class: `mb-key mb-line-${number % 4}`}, line.name))) : null;
    return make('figure', {class: 'mb-figure'}, make('figcaption', {}, title), drawing, legend);
  }

  // ---------------------------------------------------------------------------------------------------- inside

  class Inside {
    constructor(root) {
      this.root = root;
      root.classList.add('mv', 'mb');
      this.last = MirrorGAN.shown;
      window.addEventListener('mirrorgan-shown', (event) => { this.last = event.detail; this.light(); });
    }

    show(value) {
      if (!value?.boxes) return;
      this.value = value;
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
            make('td', {class: 'mb-number'}, score.value), make('td', {class: 'mb-number'}, score.count), make('td', {}, score.protocol)))))));
      }
      if (!value.curves.length && !value.scores.length) sections.push(make('p', {}, 'This checkpoint brings no log and no scores.'));
      this.root.replaceChildren(...sections);
      this.light();
    }

    /** Boxes show the shapes and times of the last drawing. */
    light() {
      if (!this.boxes || !this.last) return;
      const {stages, words, read, timings, checkpoint} = this.last;
      const known = words.filter((word) => word.place !== null).length;
      const times = Object.fromEntries(timings);
      const most = Math.max(1, ...timings.map(([, time]) => time));
      for (const box of this.boxes) {
        const rows = [];
        let time = times[box.part];
        if (box.part === 'text') rows.push(['words', `${known} × ${box.dim}`], ['sentence', `${box.dim}`]);
        const stage = stages.find((one) => box.part === `stage ${one.size}`);
        if (stage) {
          rows.push(['picture', `3 × ${stage.size} × ${stage.size}`]);
          if (stage.words) rows.push(['word maps', `${known} × ${stage.words.rows} × ${stage.words.columns}`]);
          if (stage.sentence) rows.push(['sentence map', `${stage.sentence.rows} × ${stage.sentence.columns}`]);
        }
        if (box.part === 'read back' && read) rows.push(['sentence', `${read.words.length} words`]);
        if (box.part === 'noise') rows.push(['seed', `${this.last.seed}`], ['numbers', `${box.dim}`]);
        if (time !== undefined) rows.push(['time', `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`]);
        box.node.style.setProperty('--lit', time === undefined ? 0 : (0.12 + 0.6 * Math.sqrt(time / most)).toFixed(3));
        box.facts.replaceChildren(...rows.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))));
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------- waiting

  /** The place in the queue as a sentence: gradio writes it as "queue: 2/3" where the hint stands. */
  function tellPlace() {
    const from = document.querySelector('#hint'), to = document.querySelector('#place p');
    if (!from || !to) return;
    const tell = () => {
      const [, place, all] = from.textContent.match(/queue: (\d+)\/(\d+)/) ?? [];
      const text = place === undefined ? '' : `Others are drawing. You are number ${place} of ${all} in the queue.`;
      if (to.textContent !== text) to.textContent = text;
    };
    new MutationObserver(tell).observe(from, {subtree: true, childList: true, characterData: true});
  }
  window.addEventListener('mirrorgan-mounted', tellPlace, {once: true});

  MirrorGAN.examples = (root, options) => new Examples(root, options);
  MirrorGAN.board = (root, options) => new Board(root, options);
  MirrorGAN.inside = (root) => new Inside(root);
})();
window.dispatchEvent(new Event('mirrorgan'));
