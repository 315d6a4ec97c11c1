// Brings the page up to date without loading it again: focus, selection and open details stay.
(() => {
  "use strict";
  const SECONDS = 5;
  const lost = document.getElementById("lost");
  let answered = new Date();

  function sync(have, want) {
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
      return;
    }
    for (const { name, value } of want.attributes)
      if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    for (const { name } of [...have.attributes])
      if (name !== "open" && !want.hasAttribute(name)) have.removeAttribute(name);
    const before = [...have.childNodes];
    const after = [...want.childNodes];
    after.forEach((node, i) => {
      const old = before[i];
      if (!old) have.append(document.importNode(node, true));
      else if (old.nodeName === node.nodeName && old.id === node.id) sync(old, node);
      else old.replaceWith(document.importNode(node, true));
    });
    before.slice(after.length).forEach((node) => node.remove());
  }

  async function renew() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(15000) });
      if (answer.status === 401) location.reload();
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focused = document.activeElement;
      const [link, row] = [focused.getAttribute("href"), focused.closest("[id]")?.id];
      for (const name of ["header", "main", "footer"])
        sync(document.querySelector(name), page.querySelector(name));
      if (link && document.activeElement !== focused)
        document.querySelector(`[id="${row}"] [href="${link}"]`)?.focus({ preventScroll: true });
      document.title = page.title;
      answered = new Date();
      lost.hidden = true;
    } catch {
      lost.textContent = `No answer from checkpointd since ${answered.toLocaleTimeString()}: what is below is how things were then.`;
      lost.hidden = false;
    }
  }

  (async () => {
    for (;;) {
      await new Promise((done) => setTimeout(done, SECONDS * 1000));
      await renew();
    }
  })();
  document.addEventListener("visibilitychange", renew);
})();
