/**
 * The service worker. Chrome ends it after 30 seconds of quiet, and a model with it; so the model lives in an offscreen document, which
 * stays, and this worker only sees to it that there is one.
 */
let opening;

async function openOffscreen() {
  const [open] = await chrome.runtime.getContexts({ contextTypes: ['OFFSCREEN_DOCUMENT'] });
  if (open) return;
  await chrome.offscreen.createDocument({
    url: 'offscreen.html',
    reasons: ['WORKERS'],
    justification: 'Keeps the model on the GPU between two searches.',
  });
}

chrome.runtime.onMessage.addListener((message, _sender, answer) => {
  if (message.to !== 'worker') return;
  // Two documents cannot be opened, also where two searches begin together.
  opening ??= openOffscreen().finally(() => {
    opening = undefined;
  });
  opening
    .then(() => chrome.storage.local.get('model'))
    .then(({ model }) => chrome.runtime.sendMessage({ ...message, to: 'offscreen', model }))
    .then(answer, error => answer({ error: error.message }));
  // The answer comes later.
  return true;
});
