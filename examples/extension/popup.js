/** Reads the paragraphs of the page in view, has them ranked, and shows the best; a click scrolls to one. */
const form = document.querySelector('form');
const status = document.querySelector('[role=status]');
const list = document.querySelector('ol');

/** Runs in the page. */
const paragraphs = () =>
  [...document.querySelectorAll('p, li, blockquote, h1, h2, h3, td')].map(element => element.innerText?.trim() ?? '');

/** Runs in the page. */
const show = index => {
  const element = document.querySelectorAll('p, li, blockquote, h1, h2, h3, td')[index];
  element.scrollIntoView({ behavior: 'smooth', block: 'center' });
  element.animate({ backgroundColor: ['#ffd54a', 'transparent'] }, 2500);
};

async function inPage(func, ...args) {
  const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
  const [{ result }] = await chrome.scripting.executeScript({ target: { tabId: tab.id }, func, args });
  return result;
}

async function find(query) {
  const all = await inPage(paragraphs);
  const found = all.flatMap((text, place) => (text.length > 20 ? [{ text, place }] : []));
  if (found.length === 0) throw new Error('There are no paragraphs in this page.');
  const texts = found.map(({ text }) => text);
  const { ranking, error } = await chrome.runtime.sendMessage({ to: 'worker', query, texts });
  if (error) throw new Error(error);
  return ranking.slice(0, 8).map(({ index, score }) => ({ ...found[index], score }));
}

form.addEventListener('submit', async event => {
  event.preventDefault();
  list.replaceChildren();
  status.textContent = 'Looking … the first time, the model (91 MB) is downloaded.';
  try {
    for (const { text, place, score } of await find(new FormData(form).get('query'))) {
      const button = document.createElement('button');
      button.textContent = `${score.toFixed(2)}  ${text.slice(0, 160)}`;
      button.addEventListener('click', () => inPage(show, place));
      const item = document.createElement('li');
      item.append(button);
      list.append(item);
    }
    status.textContent = '';
  } catch (error) {
    status.textContent = error.message;
  }
});
