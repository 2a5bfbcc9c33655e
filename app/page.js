// Pointing at a word shows its small map over the large picture, without asking the server.
() => {
  const peek = document.createElement('div');
  const picture = document.createElement('img');
  const name = document.createElement('span');
  peek.className = 'mg-peek';
  peek.setAttribute('aria-hidden', 'true');
  peek.append(picture, name);

  document.addEventListener('pointerover', (event) => {
    const word = event.pointerType === 'mouse' && event.target.closest('#word label');
    const stage = document.querySelector('#word-stage input:checked');
    if (!word || !stage) return;
    const place = `[data-word="${word.querySelector('input').value}"][data-stage="${stage.value}"]`;
    const small = document.querySelector(`#sheet button${place} img`);
    if (!small) return;
    picture.src = small.src;
    name.textContent = word.textContent.trim();
    document.querySelector('#overlay').append(peek);
  });
  for (const leaving of ['pointerout', 'pointerdown', 'keydown']) {
    document.addEventListener(leaving, () => peek.remove());
  }
}
