/** Keeps the page for visits without a connection (service-worker.js). */
export function keepOffline(): void {
  if (!('serviceWorker' in navigator)) return;
  addEventListener('load', () => {
    navigator.serviceWorker.register(new URL('./service-worker.js', document.baseURI)).catch(error => {
      // The page works without it, though not offline.
      console.warn(`webgpu-bert lab: this page is not kept for offline use (${error}).`);
    });
  });
}
